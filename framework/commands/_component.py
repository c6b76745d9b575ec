"""Runs the conformance checks of one component, for the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from framework.catalog import default_catalog
from framework.errors import EXIT_DONE, EXIT_RUN_FAILED, EXIT_USAGE, FrameworkError, PipelineError
from framework.hookspecs import CONTRACTS
from framework.plugins import did_you_mean


def check_component(
    use: str, kind: str | None, options: Sequence[str], *, patience: float | None, as_json: bool
) -> int:
    """Run the checks of the component ``use`` with options such as ``"width=8"``, and print their results."""
    from framework.testing.conformance import Report, cases, run_case
    from framework.testing.subject import PATIENCE, subject

    component = subject(
        kind or _kind(use), use, options_of(options), directory=Path.cwd(), patience=patience or PATIENCE
    )
    report = Report(f"{component.kind} {component.chosen.use}", [])
    for case in cases(component):
        result = run_case(case)
        report.results.append(result)
        if not as_json:
            click.echo(f"{result.status:<8}{result.name}")
    if as_json:
        values = {"kind": component.kind, "component": component.chosen.use, "passed": not report.failed}
        click.echo(json.dumps(values | {"checks": [result._asdict() for result in report.results]}, indent=2))
    else:
        click.echo(f"\n{report}")
    return EXIT_RUN_FAILED if report.failed else EXIT_DONE


def _kind(use: str) -> str:
    """The kind of the only component of this name."""
    components = [component for component in default_catalog().components() if component.kind in CONTRACTS]
    kinds = [component.kind for component in components if component.name == use]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise _Usage(f"{use!r} is the name of several components: say which with --kind ({', '.join(kinds)})")
    if ":" in use:
        raise _Usage(f"{use!r} is a class: say what it is with --kind")
    raise _Usage(f"no component is named {use!r}{did_you_mean(use, [component.name for component in components])}")


def options_of(written: Sequence[str]) -> dict[str, Any]:
    """``["width=8", "net.depth=2"]`` as a table."""
    from framework.pipeline.document import Document, override

    document = Document({}, {}, [])
    override(document, written)
    if document.problems:
        raise PipelineError(document.problems)
    return document.values


class _Usage(FrameworkError):
    exit_code = EXIT_USAGE

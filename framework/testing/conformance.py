"""Runs the checks of a component's kind, one by one: with pytest, or without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from traceback import format_exception
from typing import Any, NamedTuple

from gymnasium.spaces import Space

from framework.catalog import Catalog
from framework.errors import FrameworkError
from framework.hookspecs import CONTRACTS
from framework.testing import common
from framework.testing.subject import PATIENCE, Skip, Subject, subject


class Case(NamedTuple):
    """One check of one component."""

    name: str  #: such as ``row_independence[image]``
    run: Callable[[], None]  #: raises AssertionError where the component is wrong, `Skip` where it does not apply
    about: str  #: the fact that it holds


class Result(NamedTuple):
    """What came of a case."""

    name: str
    status: str  #: ``passed``, ``failed`` or ``skipped``
    reason: str = ""


class Report(NamedTuple):
    """What came of all cases of a component."""

    title: str  #: kind and name
    results: list[Result]

    @property
    def failed(self) -> bool:
        """Whether any did."""
        return any(result.status == "failed" for result in self.results)

    def __str__(self) -> str:
        """The failed and the skipped ones by their reason, then how many there were of each."""
        lines = []
        for status in ("failed", "skipped"):
            names: dict[str, list[str]] = {}
            for result in self.results:
                if result.status == status:
                    names.setdefault(result.reason, []).append(result.name)
            lines += [f"{status}: {', '.join(checks)}\n    {reason}" for reason, checks in names.items()]
        counts = [sum(result.status == status for result in self.results) for status in ("passed", "failed", "skipped")]
        passed, failed, left_out = counts
        numbers = f"{passed} passed, {failed} failed, {left_out} skipped, {sum(counts)} in all"
        return "\n".join([*lines, f"{self.title}: {numbers}"])


def cases(what: Subject) -> Iterator[Case]:
    """Every check of a component: those of all kinds, and those of its own."""
    of_kind = import_module(f"framework.testing.{what.kind}")
    for check in common.DECLARATION:
        yield _case(check, what)
    for behaviour in common.BEHAVIOUR if hasattr(of_kind, "trial") else ():
        yield Case(_name(behaviour), partial(_on_trial, behaviour, of_kind.trial, what), _about(behaviour))
    for check in of_kind.CHECKS:
        names = getattr(check, "names", None)
        if names is None:
            yield _case(check, what)
        else:
            for name in names(what):
                yield _case(check, what, name)


def run(what: Subject) -> Report:
    """Run every check of a component."""
    return Report(f"{what.kind} {what.chosen.use}", [run_case(case) for case in cases(what)])


def run_case(case: Case) -> Result:
    """Run one check; whatever it raises becomes the result's reason."""
    try:
        case.run()
    except Skip as skip:
        return Result(case.name, "skipped", str(skip))
    except (AssertionError, FrameworkError) as error:
        return Result(case.name, "failed", str(error) or f"not so: {case.about}")
    except Exception as error:
        return Result(case.name, "failed", "".join(format_exception(error)).rstrip())
    return Result(case.name, "passed")


def conformance(
    kind: str,
    use: str,
    options: Mapping[str, Any] | None = None,
    *,
    observations: Mapping[str, Space[Any]] | None = None,
    directory: Path | None = None,
    catalog: Catalog | None = None,
    patience: float = PATIENCE,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A test function for pytest, with one test for each check of the component ``use``:

    ``test_conformance = conformance("encoder", "acme/fancy", {"width": 8})``

    ``options`` are those of a pipeline file; keep the component small. ``observations`` are spaces by name that it must
    take; by default all kinds are tried, and what it refuses is skipped. ``directory`` is where ``use =
    "my_file:MyEncoder"`` looks for the file, ``catalog`` where names are looked up. ``patience`` is how many
    seconds a launcher's engine may take for what it is asked for. ``expected_failures`` says, by name
    of a check, why it is known to fail; it is an error where such a check passes, or does not exist.

    At the end of the session, the numbers of passed and skipped checks are printed, with each reason.
    """
    import pytest

    if kind not in CONTRACTS:
        raise ValueError(f"{kind!r} is no kind of component, but {', '.join(CONTRACTS)}")
    what = subject(
        kind, use, options, observations=observations, directory=directory, catalog=catalog, patience=patience
    )
    checks = list(cases(what))
    reasons = dict(expected_failures or {})
    if unknown := reasons.keys() - {case.name for case in checks}:
        raise ValueError(f"expected_failures names no check: {', '.join(sorted(unknown))}")
    report = Report(f"{kind} {use}", [])

    @pytest.mark.parametrize("case", checks, ids=[case.name for case in checks])
    def test(case: Case, request: Any) -> None:
        """The component does what its kind asks for."""
        result = run_case(case)
        if case.name in reasons:
            result = _expected(result, reasons[case.name])
        _summarize(request.config, report)
        report.results.append(result)
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "failed":
            pytest.fail(f"{case.about}\n{result.reason}", pytrace=False)

    tests: Callable[..., None] = test
    return tests


def _expected(result: Result, reason: str) -> Result:
    if result.status == "failed":
        return Result(result.name, "skipped", f"it fails, as expected: {reason}")
    return Result(result.name, "failed", f"it is expected to fail ({reason}), and did not: take it out of the list")


class _Summary:
    """A plugin of pytest: says at the end what came of each component."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("conformance")
        for report in self.reports:
            terminalreporter.write_line(str(report))


def _summarize(config: Any, report: Report) -> None:
    name = "framework-conformance"
    summary = config.pluginmanager.get_plugin(name)
    if summary is None:
        summary = _Summary()
        config.pluginmanager.register(summary, name)
    if not any(listed is report for listed in summary.reports):
        summary.reports.append(report)


def _case(check: Callable[..., None], what: Subject, *names: str) -> Case:
    return Case(_name(check, names), partial(check, what, *names), _about(check))


def _on_trial(check: Callable[..., None], trial: Callable[[Subject], Any], what: Subject) -> None:
    check(what, trial(what))


def _name(check: Callable[..., None], names: Iterable[str] = ()) -> str:
    return check.__name__.removeprefix("check_") + "".join(f"[{name}]" for name in names)


def _about(check: Callable[..., None]) -> str:
    return (check.__doc__ or "").strip().partition("\n")[0]

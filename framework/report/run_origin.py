"""Where a run comes from: versions, components, machine, command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from framework.report.html import Content, Html, clipped, definitions, element, markup, table
from framework.studies.recorded_run import RecordedRun

_DIGITS = 12  # of a hash


def origin_of(run: RecordedRun) -> Html:
    """What the manifest of a run says."""
    manifest = run.manifest
    command, machine = manifest.get("command"), _table(manifest, "machine")
    versions = {"framework": manifest.get("framework"), **_table(manifest, "versions")}
    values: dict[str, Content] = {
        "run directory": str(run.directory),
        "started": _text(manifest.get("started")).replace("T", " "),
        "command": element("code", clipped(shlex.join(map(str, command)))) if isinstance(command, list) else None,
        "pipeline file in": _text(manifest.get("base_directory")),
        "machine": ", ".join(f"{_text(value)}{' cores' if name == 'cores' else ''}" for name, value in machine.items()),
        "versions": ", ".join(f"{name} {_text(value)}" for name, value in versions.items() if value),
    }
    rows = [
        (
            clipped(name, 100),
            " ".join(_text(origin.get(key)) for key in ("distribution", "version")) or "-",
            element("code", _text(origin.get("sha256"))[:_DIGITS]),
        )
        for name, origin in _table(manifest, "components").items()
        if isinstance(origin, Mapping)
    ]
    return markup(
        definitions({name: value for name, value in values.items() if value}),
        table(["component", "from", "SHA-256 of its source"], rows, caption="Components") if rows else None,
    )


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = values.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _text(value: Any) -> str:
    return "" if value is None else clipped(str(value))

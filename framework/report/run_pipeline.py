"""The pipelines of runs: what differs from the defaults, and between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.catalog import default_catalog
from framework.pipeline.defaults import defaults
from framework.pipeline.toml import literal, written_lines
from framework.report.html import Content, Html, clipped, details, element, markup, paragraph, table
from framework.report.run_curves import Group
from framework.schema import join
from framework.studies import identity
from framework.studies.recorded_run import RecordedRun

#: Rows of a table.
_ROWS = 100


def pipeline_of(run: RecordedRun) -> Html:
    """The pipeline of a run: options that differ from their defaults, and all of them folded away."""
    default_values = defaults(run.pipeline, default_catalog())
    options = flat(run.pipeline)
    changed = {
        path: value for path, value in options.items() if path in default_values and default_values[path] != value
    }
    rows = [
        (element("code", path), element("code", clipped(value_text(value))), _default(default_values[path]))
        for path, value in list(changed.items())[:_ROWS]
    ]
    unknown = sorted({path.rpartition(".")[0] for path in options if path not in default_values and path != "requires"})
    caption = "Options that differ from their defaults"
    return markup(
        table(["option", "value", "default"], rows, caption=caption) if rows else None,
        paragraph(f"Of {clipped(', '.join(unknown))} the defaults are not known here.", muted=True)
        if unknown
        else None,
        details(f"All {len(options)} options", element("pre", _whole(run.pipeline, changed, default_values))),
    )


def differing(groups: Sequence[Group]) -> Html:
    """A table of the options in which groups of runs differ; nothing where they do not."""
    pipelines = [flat(group.runs[0].pipeline) for group in groups]
    paths = list(dict.fromkeys(path for options in pipelines for path in options))
    paths = [path for path in paths if len({value_text(options.get(path)) for options in pipelines}) > 1]
    rows = [
        [element("code", path), *(element("code", clipped(value_text(options.get(path)))) for options in pipelines)]
        for path in paths[:_ROWS]
        if path != "run.name"
    ]
    header = ["option", *(group.name for group in groups)]
    caption = "Options in which the runs differ; of each name, those of the first run"
    return markup(
        table(header, rows, caption=caption) if rows else None,
        paragraph(f"and {len(paths) - _ROWS} more", muted=True) if len(paths) > _ROWS else None,
    )


def mixed(groups: Sequence[Group]) -> Html:
    """A warning for each group whose runs differ in what they learn from: they are no seeds of one pipeline."""
    warnings = []
    for group in groups:
        first, *others = group.runs
        paths = {path for run in others for path in identity.differing(first.pipeline, run.pipeline)} - {"run.seed"}
        if paths:
            text = f"The runs named {group.name} are drawn as seeds of one pipeline, but differ in "
            warnings.append(paragraph(element("mark", clipped(text + ", ".join(sorted(paths)) + "."))))
    return markup(warnings)


def flat(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a pipeline by dotted key; tables inside of a section's are values."""
    options: dict[str, Any] = {}
    for section, value in pipeline.items():
        path = join("", section)
        tables = {}
        if isinstance(value, Mapping):
            tables = {path: value}
        elif isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
            tables = {join(path, index): part for index, part in enumerate(value)}
        else:
            options[path] = value
        for name, inner in tables.items():
            options |= {join(name, key): option for key, option in inner.items()}
    return options


def value_text(value: Any) -> str:
    """A value as TOML writes it; a dash where there is none."""
    if value is None:
        return "-"
    try:
        return literal(value)
    except TypeError:  # a date, which no option is
        return str(value)


def _default(value: Any) -> Content:
    return element("small", "none") if value is None else element("code", clipped(value_text(value)))


def _whole(pipeline: Mapping[str, Any], changed: Mapping[str, Any], default_values: Mapping[str, Any]) -> list[Content]:
    """The lines of the pipeline file, with those marked that differ from their defaults."""
    lines: list[Content] = []
    try:
        for text, path in written_lines(pipeline):
            default = "" if default_values.get(path) is None else f"  # default {value_text(default_values[path])}"
            shown = clipped(text, 2000)
            lines += [element("mark", shown + default) if path in changed else shown, "\n"]
    except TypeError as error:
        return [str(error)]
    return lines

"""What is drawn of runs: a panel for each metric, in it a curve for all seeds of one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from framework.errors import EXIT_USAGE, FrameworkError
from framework.pipeline.toml import literal, split
from framework.schema import suggest
from framework.studies.band import Band, band
from framework.studies.identity import differing
from framework.studies.recorded_run import RecordedRun, Series

Tell = Callable[[str], None]
#: What the columns of evaluations begin with.
EVALUATION = "evaluation/"
#: What an axis of `framework.studies.recorded_run.AXES` is called; time in a unit of so many seconds at least.
_AXIS_LABELS = {"steps": "environment steps", "updates": "updates"}
_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@frozen(eq=False)
class Curve:
    """A metric of all seeds of one pipeline."""

    label: str
    band: Band
    points: bool = False  #: whether it is drawn as points: it is measured now and then
    group: int = 0  #: number of its pipeline, the same in all panels


@frozen(eq=False)
class Panel:
    """The curves that share a vertical axis."""

    title: str
    curves: tuple[Curve, ...]


@frozen(eq=False)
class Drawing:
    """Panels with one horizontal axis."""

    x_label: str
    panels: tuple[Panel, ...]


class UnknownMetric(FrameworkError):
    """No run has recorded the metric."""

    exit_code = EXIT_USAGE


def drawing_of(
    runs: Sequence[RecordedRun], columns: Sequence[str], axis: str = "steps", tell: Tell = lambda line: None
) -> Drawing:
    """A panel for each of ``columns`` of ``metrics.jsonl``; an evaluation shares that of its namesake in training.

    Args:
        runs: at least one.
        columns: such as ``"return"`` and ``"evaluation/return"``.
        axis: one of `framework.studies.recorded_run.AXES`.
        tell: hears in a line of each run that has not recorded a column, and is left out; and of each that ends long
            before others of its curve, which is drawn as far as all of them go.

    Raises `UnknownMetric` where no run has a column.
    """
    groups = by_pipeline(runs)
    curves: dict[str, list[Curve]] = {}
    for column in dict.fromkeys(columns):
        _check(column, runs)
        panel = curves.setdefault(column.removeprefix(EVALUATION), [])
        for number, (name, members) in enumerate(groups.items()):
            series = {run: points for run in members if len((points := _finite(run, column, axis)).x)}
            for run in (run for run in members if run not in series):
                tell(f"{run.directory} has not recorded {column!r}: it is left out")
            if series:
                panel.append(_curve(name, series, column.startswith(EVALUATION), number, tell))
        if not panel:
            raise UnknownMetric(f"no run has recorded a finite number as {column!r}")
    x_label, unit = (_AXIS_LABELS[axis], 1.0) if axis in _AXIS_LABELS else _unit(curves.values())
    return Drawing(x_label, tuple(Panel(title, _scaled(drawn, unit)) for title, drawn in curves.items()))


def _curve(name: str, series: Mapping[RecordedRun, Series], points: bool, number: int, tell: Tell) -> Curve:
    """The curve of the runs of a group."""
    label = f"{name} ({count(list(series))})" + (", evaluated" if points else "")
    ends = {run: float(of_run.x[-1]) for run, of_run in series.items()}
    short = min(ends, key=ends.__getitem__)
    if ends[short] < 0.5 * max(ends.values()):
        tell(f"{label} is drawn as far as all of them go: {short.directory} ends early, leave it out for more")
    return Curve(label, band(list(series.values())), points, number)


def _finite(run: RecordedRun, column: str, axis: str) -> Series:
    """What of a column can be drawn."""
    if column not in run.columns:
        return Series(np.empty(0), np.empty(0))
    x, y = run.series(column, axis)
    return Series(x[np.isfinite(y)], y[np.isfinite(y)])


def by_pipeline(runs: Sequence[RecordedRun]) -> dict[str, list[RecordedRun]]:
    """Runs that differ in their seeds alone, whole or not, by name; where pipelines of one name differ, by how too.

    How they are evaluated makes no difference.
    """
    groups: dict[str, list[list[RecordedRun]]] = {}
    for run in runs:
        namesakes = groups.setdefault(run.name, [])
        of_group = next((group for group in namesakes if not _different(group[0], run)), None)
        if of_group is None:
            namesakes.append(of_group := [])
        of_group.append(run)
    named = {}
    for name, namesakes in groups.items():
        keys = sorted({key for group in namesakes for key in _different(namesakes[0][0], group[0])})
        for group in namesakes:
            named[" ".join([name, *(f"{key}={_shown(group[0], key)}" for key in keys)])] = group
    return named


def _different(one: RecordedRun, two: RecordedRun) -> list[str]:
    """The options in which the learning of two runs differs."""
    keys = differing(one.pipeline, two.pipeline)
    return [key for key in keys if key != "run.seed" and not key.startswith("evaluation.")]


def _shown(run: RecordedRun, key: str) -> str:
    """The value at a dotted key, as an override has it; ``-`` where it is not there."""
    value: Any = run.pipeline
    for part in split(key):
        value = value.get(part) if isinstance(value, dict) else None
    text = "-" if value is None else literal(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def count(runs: Sequence[RecordedRun]) -> str:
    """``3 seeds``; ``3 runs`` where some have the same."""
    unit = "seed" if len({run.seed for run in runs}) == len(runs) else "run"
    return f"{len(runs)} {unit}{'' if len(runs) == 1 else 's'}"


def _unit(curves: Iterable[Sequence[Curve]]) -> tuple[str, float]:
    """The largest unit of time that the longest curve has several of."""
    longest = max(float(curve.band.x[-1]) for drawn in curves for curve in drawn)
    seconds, name = next((unit for unit in _UNITS if longest >= 3 * unit[0]), _UNITS[-1])
    return name, seconds


def _scaled(curves: Sequence[Curve], unit: float) -> tuple[Curve, ...]:
    return tuple(evolve(curve, band=curve.band._replace(x=curve.band.x / unit)) for curve in curves)


def _check(column: str, runs: Sequence[RecordedRun]) -> None:
    names = list(dict.fromkeys(name for run in runs for name in run.columns))
    if column not in names:
        guess = suggest(column, names)
        hint = f"did you mean {guess}?" if guess else "--list shows those that they have"
        raise UnknownMetric(f"no run has recorded the metric {column!r}; {hint}")

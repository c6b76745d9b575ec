"""Runs as curves: seeds of one name together, long ones thinned out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from attrs import define, evolve

from framework.report.svg_chart import Curve
from framework.studies.band import band
from framework.studies.recorded_run import RecordedRun, Series

#: Points of a curve, and of one about time, which varies much from one update to the next.
POINTS = 300
_TIME_POINTS = 60
#: Points that can be told apart, each with its interval.
_MOST_MARKS = 75
#: The normal distribution has 95 % within so many standard deviations of its mean.
_Z = 1.96
_LARGEST = 1e100


class Stretches(NamedTuple):
    """A series in stretches: in each the mean, and the range around it, [stretches] each."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def thinned(series: Series, points: int = POINTS) -> Stretches:
    """A series in at most ``points`` stretches of about equally many values."""
    starts = np.unique(np.linspace(0, len(series.x), min(points, len(series.x)), endpoint=False).astype(int))
    counts = np.diff(np.append(starts, len(series.x)))
    return Stretches(
        np.add.reduceat(series.x, starts) / counts,
        np.add.reduceat(series.y, starts) / counts,
        np.minimum.reduceat(series.y, starts),
        np.maximum.reduceat(series.y, starts),
    )


def columns(lines: Iterable[dict[str, Any]]) -> dict[str, Series]:
    """Every column that holds finite numbers, by environment steps, in order of appearance."""
    points: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        steps = line.get("steps")
        if is_number(steps):
            for name, value in line.items():
                if is_number(value):
                    x, y = points.setdefault(name, ([], []))
                    x.append(steps)
                    y.append(value)
    return {name: Series(np.array(x, np.float64), np.array(y, np.float64)) for name, (x, y) in points.items()}


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of a line is a number that can be drawn: no NaN, no infinity, no integer of a thousand digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


@define(eq=False, slots=False)
class Group:
    """Runs of one name, drawn in one colour."""

    name: str
    runs: Sequence[RecordedRun]
    color: int

    @property
    def label(self) -> str:
        """Its name, with the number of seeds where there are several."""
        return self.name if len(self.runs) == 1 else f"{self.name}, {len(self.runs)} seeds"

    @cached_property
    def series(self) -> list[dict[str, Series]]:
        """The columns of each run."""
        return [columns(run.metrics) for run in self.runs]

    def curve(self, column: str) -> Curve | None:
        """A column: the mean and range of its stretches, or of its seeds; None where no run has it."""
        thin = [thinned(series[column]) for series in self.series if column in series]
        if len(thin) == 1:
            x, mean, low, high = thin[0]
            return Curve(self.label, x, mean, low, high, self.color) if (low < high).any() else self._line(x, mean)
        return self._several([Series(part.x, part.mean) for part in thin])

    def share(self, part: str, wholes: Sequence[str]) -> Curve | None:
        """One column as a share of the sum of some, over stretches; None where no run has them all."""
        shares = []
        for series in self.series:
            if {part, *wholes} <= series.keys():
                thin = {name: thinned(series[name], _TIME_POINTS) for name in {part, *wholes}}
                if len({len(stretches.x) for stretches in thin.values()}) == 1:
                    total = np.sum([thin[name].mean for name in wholes], axis=0)
                    shares.append(Series(thin[part].x, thin[part].mean / np.where(total > 0, total, np.inf)))
        return self._several(shares)

    def throughput(self) -> Curve | None:
        """Environment steps per second over stretches, with all that the run does; None where no run tells the time."""
        rates = []
        for series in self.series:
            if "time/seconds" in series and len(series["time/seconds"].x) > 1:
                steps, seconds = series["time/seconds"]
                ends = np.unique(np.linspace(0, len(steps) - 1, min(_TIME_POINTS, len(steps) - 1) + 1).astype(int))
                elapsed = np.diff(seconds[ends])
                rate = np.diff(steps[ends]) / np.where(elapsed > 0, elapsed, np.nan)
                rates.append(Series(steps[ends][1:], rate))
        return self._several(rates)

    def evaluation(self, score: str) -> Curve | None:
        """Evaluations by a score, ``"return"`` or another, with 95 % intervals; of several seeds with their range.

        They are points, as long as those have room.
        """
        curve = self.curve(f"evaluation/{score}")
        if curve is None:
            return None
        if len(self.runs) == 1:
            low, high = self._bounds(score)
            curve = evolve(curve, low=low, high=high)
        return evolve(curve, points=len(curve.x) <= _MOST_MARKS)

    def _bounds(self, score: str) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
        """The ends of the intervals of the only run's evaluations; None where not all have them."""
        needed = ("steps", f"evaluation/{score}")
        lines = [line for line in self.runs[0].evaluations if all(is_number(line.get(name)) for name in needed)]
        ends = [bounds for line in lines if (bounds := interval(line, score)) is not None]
        if len(ends) < len(lines):
            return None, None
        steps = np.array([line["steps"] for line in lines], np.float64)
        low, high = (thinned(Series(steps, part)).mean for part in np.array(ends).T)
        return low, high

    def _several(self, series: Sequence[Series]) -> Curve | None:
        """The curve of each run's: of several their band, of none None."""
        if not series:
            return None
        return self._line(*series[0]) if len(series) == 1 else self._band(series)

    def _line(self, x: np.ndarray, y: np.ndarray) -> Curve:
        return Curve(self.label, x, y, color=self.color)

    def _band(self, series: Sequence[Series]) -> Curve:
        x, mean, low, high = band(series)
        return Curve(self.label, x, mean, low, high, self.color)


def groups_of(runs: Sequence[RecordedRun]) -> list[Group]:
    """Runs by their names, in order of appearance."""
    names = list(dict.fromkeys(run.name for run in runs))
    return [Group(name, [run for run in runs if run.name == name], index) for index, name in enumerate(names)]


def interval(line: dict[str, Any], score: str) -> tuple[float, float] | None:
    """The 95 % interval of an evaluation's mean, over its episodes; None where its line does not tell.

    For returns by the normal approximation, cut at the lowest and highest return; for shares of episodes, such as
    ``success``, Wilson's score interval.
    """
    mean, episodes = line[f"evaluation/{score}"], line.get("evaluation/episodes")
    if not is_number(episodes) or episodes < 2:
        return None
    if score == "success":
        share = _Z**2 / episodes
        half = (_Z**2 * max(0.0, mean * (1 - mean)) / episodes + share**2 / 4) ** 0.5
        return (mean + share / 2 - half) / (1 + share), (mean + share / 2 + half) / (1 + share)
    deviation, lowest, highest = (line.get(f"evaluation/return_{name}") for name in ("std", "min", "max"))
    if score == "return" and is_number(deviation) and is_number(lowest) and is_number(highest):
        half = _Z * deviation / (episodes - 1) ** 0.5
        return max(lowest, mean - half), min(highest, mean + half)
    return None

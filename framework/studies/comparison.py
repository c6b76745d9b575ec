"""Groups of runs side by side: scores with intervals, differences from the first group, curves and profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from attrs import frozen

from framework.studies.band import aligned
from framework.studies.groups import Group
from framework.studies.learning_curve import first_reached, mean_over
from framework.studies.recorded_run import RecordedRun
from framework.toolkit.statistics import (
    bootstrap_band,
    bootstrap_interval,
    interquartile_mean,
    interquartile_means,
    mean,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)

#: Runs that an interval needs at least, and those from which on one is about as wide as it should be.
FEWEST, ENOUGH = 3, 10
_POINTS = 100  # of a curve, about
_THRESHOLDS = 101  # of a profile


class Estimate(NamedTuple):
    """A number and its 95 % interval; without one where there are fewer than `FEWEST` runs."""

    value: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """A curve with the interval at each point, [points] float64; without one where there are too few runs."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@frozen
class Outcome:
    """What came of a run."""

    run: RecordedRun
    score: float  #: the last value of the metric
    training_return: float | None  #: the mean return of the last 100 training episodes; None where none had ended
    mean_over_run: float  #: of the learning curve, over steps
    reached: float | None  #: steps at which the learning curve was at the threshold; None where it never was
    steps: int
    seconds: float  #: interruptions left out


@frozen
class Result:
    """What came of a group."""

    name: str
    outcomes: tuple[Outcome, ...]
    mean: Estimate  #: of the scores
    iqm: Estimate  #: interquartile mean of the scores
    training_return: Estimate | None
    mean_over_run: Estimate
    curve: Line  #: interquartile mean of the learning curves, by steps
    profile: Line  #: share of runs whose score is above each threshold

    @property
    def scores(self) -> np.ndarray:
        """The score of each run, [runs]."""
        return np.array([outcome.score for outcome in self.outcomes])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run."""
        return tuple(outcome.run.seed for outcome in self.outcomes)

    @property
    def steps_to_threshold(self) -> float:
        """The median of the steps at which runs reached the threshold; infinity where most never did."""
        reached = [np.inf if outcome.reached is None else outcome.reached for outcome in self.outcomes]
        return float(np.median(reached))

    @property
    def reached(self) -> int:
        """How many runs reached the threshold."""
        return sum(outcome.reached is not None for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """The mean time of a run."""
        return float(np.mean([outcome.seconds for outcome in self.outcomes]))

    @property
    def steps_per_second(self) -> float:
        """Environment steps of all runs by the time that they took together."""
        return sum(outcome.steps for outcome in self.outcomes) / sum(outcome.seconds for outcome in self.outcomes)


@frozen
class Difference:
    """A group against the first."""

    name: str
    difference: Estimate  #: of the mean scores
    probability: Estimate  #: that a run is better than one of the first group
    paired: bool  #: whether both groups have the same seeds, and were resampled together for the difference
    better: int | None  #: in how many seeds its run is better than that of the first group; None unless paired


@frozen
class Comparison:
    """Groups of runs side by side; the first is the one that the others are compared with."""

    metric: str
    column: str  #: of the learning curves
    threshold: float | None
    results: tuple[Result, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def compare(
    groups: Sequence[Group],
    *,
    metric: str = "evaluation/return",
    column: str = "return",
    threshold: float | None = None,
    notes: Sequence[str] = (),
    resamples: int = 2000,
) -> Comparison:
    """Compare groups of runs with the first of them.

    Intervals are percentile bootstrap intervals over runs, stratified as in arXiv:2108.13264, where there is one task.
    Each is drawn with a generator of its own, so that equal runs have equal intervals.

    Args:
        groups: one or more, each with a run or more.
        metric: the column of ``metrics.jsonl`` whose last value is the score of a run; more is better.
        column: that of learning curves.
        threshold: value of learning curves whose steps are told.
        notes: what else readers should know, told before notes on the number of runs.
        resamples: number of bootstrap resamples of each interval.

    Raises `RunError` where a run has no such column.
    """
    outcomes = [[_outcome(run, metric, column, threshold) for run in group.runs] for group in groups]
    scores = np.array([outcome.score for of_group in outcomes for outcome in of_group])
    thresholds = np.unique(np.linspace(scores.min(), scores.max(), _THRESHOLDS))
    results = [
        _result(group, of_group, column, thresholds, resamples)
        for group, of_group in zip(groups, outcomes, strict=True)
    ]
    return Comparison(
        metric,
        column,
        threshold,
        tuple(results),
        tuple(_difference(result, results[0], resamples) for result in results[1:]),
        (*notes, *_warnings(results)),
    )


def _outcome(run: RecordedRun, metric: str, column: str, threshold: float | None) -> Outcome:
    curve = run.series(column)
    return Outcome(
        run,
        float(run.series(metric).y[-1]),
        float(run.series("return").y[-1]) if "return" in run.columns else None,
        mean_over(curve),
        None if threshold is None else first_reached(curve, threshold),
        run.steps,
        float(run.series("time/seconds").y[-1]),
    )


def _result(group: Group, outcomes: Sequence[Outcome], column: str, thresholds: np.ndarray, resamples: int) -> Result:
    scores = np.array([outcome.score for outcome in outcomes])
    returns = [outcome.training_return for outcome in outcomes if outcome.training_return is not None]
    grid, curves = aligned([run.series(column) for run in group.runs])
    kept = np.unique(np.linspace(0, len(grid) - 1, _POINTS).round().astype(int))
    return Result(
        group.name,
        tuple(outcomes),
        _estimate(mean, scores, resamples),
        _estimate(interquartile_mean, scores, resamples),
        _estimate(mean, np.array(returns), resamples) if len(returns) == len(scores) else None,
        _estimate(mean, np.array([outcome.mean_over_run for outcome in outcomes]), resamples),
        _line(interquartile_means, grid[kept], curves[:, kept], resamples),
        _line(lambda drawn: performance_profile(drawn, thresholds), thresholds, scores, resamples),
    )


def _difference(result: Result, first: Result, resamples: int) -> Difference:
    paired = result.seeds == first.seeds
    better = int((result.scores > first.scores).sum()) if paired else None
    scores = result.scores, first.scores

    def estimate(statistic: Callable[..., float], *, paired: bool) -> Estimate:
        if min(map(len, scores)) < FEWEST:
            return Estimate(statistic(*scores))
        interval = bootstrap_interval(statistic, *scores, generator=_generator(), paired=paired, resamples=resamples)
        return Estimate(*interval)

    difference = estimate(_mean_difference, paired=paired)
    probability = estimate(probability_of_improvement, paired=False)
    return Difference(result.name, difference, probability, paired, better)


def _mean_difference(scores: np.ndarray, baseline: np.ndarray) -> float:
    return mean(scores) - mean(baseline)


def _estimate(statistic: Callable[[np.ndarray], float], values: np.ndarray, resamples: int) -> Estimate:
    if len(values) < FEWEST:
        return Estimate(statistic(values))
    return Estimate(*stratified_interval(statistic, [values], _generator(), resamples=resamples))


def _line(statistic: Callable[[np.ndarray], np.ndarray], x: np.ndarray, values: np.ndarray, resamples: int) -> Line:
    if len(values) < FEWEST:
        return Line(x, statistic(values))
    return Line(x, *bootstrap_band(statistic, values, _generator(), resamples=resamples))


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _warnings(results: Sequence[Result]) -> list[str]:
    fewest = min(len(result.outcomes) for result in results)
    steps = {result.name: max(outcome.steps for outcome in result.outcomes) for result in results}
    warnings = []
    if fewest < FEWEST:
        warnings.append(
            f"Fewer than {FEWEST} runs of a group say nothing of other seeds: it has no intervals. Train more seeds."
        )
    elif fewest < ENOUGH:
        warnings.append(
            f"Intervals of {fewest} runs are too narrow: 95 % bootstrap intervals of the mean of normal scores hold the"
            " true mean in about 75 % of cases with 3 runs, 84 % with 5, 90 % with 10, 93 % with 20."
        )
    if max(steps.values()) > 1.01 * min(steps.values()):
        told = ", ".join(f"{name} {count:,}" for name, count in steps.items())
        warnings.append(f"Groups were trained for different numbers of steps: {told}.")
    return warnings

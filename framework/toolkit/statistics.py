"""Statistics of the scores of few runs, with bootstrap confidence intervals (Agarwal et al., 2021).

Deep Reinforcement Learning at the Edge of the Statistical Precipice, arXiv:2108.13264.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

#: Of one or several arrays of scores, a number.
Statistic = Callable[..., float]


class Interval(NamedTuple):
    """A statistic of scores and its confidence interval."""

    estimate: float
    low: float
    high: float


class IntervalBand(NamedTuple):
    """A statistic at each of several points, and its confidence interval at each: [points] float64."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mean(scores: np.ndarray) -> float:
    """The mean of scores of any shape."""
    return float(scores.mean())


def interquartile_mean(scores: np.ndarray) -> float:
    """Interquartile mean (IQM) of scores of any shape: the mean of the middle half.

    At either end a quarter of the scores is left out, rounded down.
    """
    return float(interquartile_means(scores.reshape(-1, 1))[0])


def interquartile_means(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean at each point: of scores [runs, points], [points]."""
    ordered = np.sort(scores, axis=0)
    cut = len(ordered) // 4
    means: np.ndarray = ordered[cut : len(ordered) - cut].mean(axis=0)
    return means


def probability_of_improvement(scores: np.ndarray, baseline: np.ndarray) -> float:
    """Probability that a run with ``scores`` [runs] is better than one with ``baseline`` [runs'], P(X > Y).

    Of all pairs, and ties count half: the Mann-Whitney statistic as a share (section 4.3 of the paper).
    """
    difference = scores[:, None] - baseline
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of runs whose score is above each threshold, [thresholds]: of scores [runs] (section 4.2 of the paper)."""
    profile: np.ndarray = (scores[:, None] > thresholds).mean(axis=0)
    return profile


def stratified_interval(
    statistic: Statistic,
    strata: Sequence[np.ndarray],
    generator: np.random.Generator,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Stratified bootstrap interval, as in the paper: runs are resampled within each stratum, a task.

    Args:
        statistic: takes the concatenated scores of all strata.
        strata: the scores of each task [runs]; numbers of runs may differ.
        generator: source of the resampling.
        confidence: nominal coverage of the interval.
        resamples: number of bootstrap resamples.
    """

    def drawn() -> float:
        return statistic(
            np.concatenate([scores[generator.integers(len(scores), size=len(scores))] for scores in strata])
        )

    return _interval(statistic(np.concatenate(list(strata))), drawn, confidence, resamples)


def bootstrap_interval(
    statistic: Statistic,
    *scores: np.ndarray,
    generator: np.random.Generator,
    paired: bool = False,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Bootstrap interval of a statistic of one or several groups of runs, by percentiles.

    Args:
        statistic: takes each of ``scores``, resampled.
        scores: of each group, [runs]; numbers of runs may differ unless they are paired.
        generator: source of the resampling.
        paired: whether the same runs are drawn in all groups, as where runs of equal seeds stand side by side.
        confidence: nominal coverage of the interval.
        resamples: number of bootstrap resamples.
    """

    def drawn() -> float:
        if paired:
            runs = generator.integers(len(scores[0]), size=len(scores[0]))
            return statistic(*(values[runs] for values in scores))
        return statistic(*(values[generator.integers(len(values), size=len(values))] for values in scores))

    return _interval(statistic(*scores), drawn, confidence, resamples)


def bootstrap_band(
    statistic: Callable[[np.ndarray], np.ndarray],
    scores: np.ndarray,
    generator: np.random.Generator,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> IntervalBand:
    """Bootstrap interval at each point of curves, by percentiles: whole runs are resampled.

    The intervals hold for each point by itself, not for all of them at once.

    Args:
        statistic: of resampled ``scores``, [points].
        scores: the curve of each run, [runs, points], or whatever else of each run the statistic makes a curve of.
        generator: source of the resampling.
        confidence: nominal coverage of the intervals.
        resamples: number of bootstrap resamples.
    """
    runs = generator.integers(len(scores), size=(resamples, len(scores)))
    tail = (1 - confidence) / 2
    low, high = np.quantile([statistic(scores[drawn]) for drawn in runs], [tail, 1 - tail], axis=0)
    return IntervalBand(statistic(scores), low, high)


def two_level_interval(
    statistic: Statistic,
    *scores: np.ndarray,
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Two-level bootstrap interval: runs are resampled, then the episodes of each run.

    With one run the interval is over its episodes, and says nothing of other seeds. With few runs it is too narrow, as
    all bootstrap intervals of few values are.

    Args:
        statistic: takes each of ``scores``, resampled.
        scores: of several evaluations of the same runs, [runs, episodes] each: the runs drawn are the same in all of
            them, the episodes are not.
        generator: source of the resampling.
        confidence: nominal coverage of the interval.
        resamples: number of bootstrap resamples.
    """
    count = len(scores[0])

    def drawn() -> float:
        runs = generator.integers(count, size=(count, 1))
        return statistic(*(table[runs, generator.integers(table.shape[1], size=table.shape)] for table in scores))

    return _interval(statistic(*scores), drawn, confidence, resamples)


def _interval(estimate: float, drawn: Callable[[], float], confidence: float, resamples: int) -> Interval:
    """Percentile bootstrap interval."""
    tail = (1 - confidence) / 2
    low, high = np.quantile([drawn() for _ in range(resamples)], [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))

"""Interquartile mean and bootstrap confidence intervals for scores of few runs (Agarwal et al., 2021).

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


def mean(scores: np.ndarray) -> float:
    """The mean of scores of any shape."""
    return float(scores.mean())


def interquartile_mean(scores: np.ndarray) -> float:
    """Interquartile mean (IQM) of scores of any shape: the mean of the middle half.

    At either end a quarter of the scores is left out, rounded down.
    """
    ordered = np.sort(scores, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


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

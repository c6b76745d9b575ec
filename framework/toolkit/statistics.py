"""How far scores of few runs can be trusted: interquartile mean and bootstrap intervals (Agarwal et al., 2021).

Deep Reinforcement Learning at the Edge of the Statistical Precipice, arXiv:2108.13264.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

#: Of one or several arrays of scores, a number.
Statistic = Callable[..., float]


class Interval(NamedTuple):
    """A statistic of some scores, and between which values it lies with the confidence asked for."""

    estimate: float
    low: float
    high: float


def mean(scores: np.ndarray) -> float:
    """The mean of scores of any shape."""
    return float(scores.mean())


def interquartile_mean(scores: np.ndarray) -> float:
    """The mean of the middle half of scores of any shape: a quarter of them is left out at either end.

    Where their number is not divisible by four, fewer are, as many as are whole.
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
    """The paper's: in each stratum, a task, as many runs are drawn with replacement as it has.

    Args:
        statistic: gets the scores of all strata, one after the other.
        strata: the scores of each task [runs]; numbers of runs may differ.
        generator: draws.
        confidence: how often such intervals are to hold the true value.
        resamples: how often is drawn.
    """

    def drawn() -> float:
        return statistic(np.concatenate([each[generator.integers(len(each), size=len(each))] for each in strata]))

    return _interval(statistic(np.concatenate(list(strata))), drawn, confidence, resamples)


def two_level_interval(
    statistic: Statistic,
    *scores: np.ndarray,
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Runs are drawn with replacement, and then episodes of each run that was drawn.

    With one run these are intervals over its episodes, and say nothing of other seeds. With few runs they are too
    narrow, as all bootstrap intervals of few values are.

    Args:
        statistic: gets each of ``scores``, resampled.
        scores: of several evaluations of the same runs, [runs, episodes] each: the runs drawn are the same in all of
            them, the episodes are not.
        generator: draws.
        confidence: how often such intervals are to hold the true value.
        resamples: how often is drawn.
    """
    count = len(scores[0])

    def drawn() -> float:
        runs = generator.integers(count, size=(count, 1))
        return statistic(*(each[runs, generator.integers(each.shape[1], size=each.shape)] for each in scores))

    return _interval(statistic(*scores), drawn, confidence, resamples)


def _interval(estimate: float, drawn: Callable[[], float], confidence: float, resamples: int) -> Interval:
    """The percentile interval."""
    tail = (1 - confidence) / 2
    low, high = np.quantile([drawn() for _ in range(resamples)], [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))

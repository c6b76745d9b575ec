"""Statistics against `rliable`, the implementation of their paper's authors, and against `scipy.stats.bootstrap`."""

from __future__ import annotations

import numpy as np
import pytest
from rliable import metrics
from scipy import stats

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

RESAMPLES = 2000
RUNS = np.random.default_rng(5).normal(100, 20, size=(2, 12))
TIED = np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.0, 5.0, 2.0])


@pytest.fixture
def library():
    """The part of rliable that draws resamples, which needs `arch`."""
    from rliable import library

    return library


@pytest.mark.parametrize("count", [1, 3, 4, 7, 12])
def test_interquartile_mean_is_that_of_rliable(count):
    """Also at each point of curves."""
    scores = np.random.default_rng(count).exponential(size=(count, 3))
    assert interquartile_mean(scores) == pytest.approx(metrics.aggregate_iqm(scores))
    expected = [metrics.aggregate_iqm(column[:, None]) for column in scores.T]
    np.testing.assert_allclose(interquartile_means(scores), expected)


@pytest.mark.parametrize(("scores", "baseline"), [RUNS, RUNS[::-1], TIED, TIED[::-1]])
def test_probability_of_improvement_is_that_of_rliable(scores, baseline):
    """Of all pairs; ties count half, so the probabilities of both directions add up to 1."""
    probability = probability_of_improvement(scores, baseline)
    assert probability == pytest.approx(metrics.probability_of_improvement(scores[:, None], baseline[:, None]))
    assert probability + probability_of_improvement(baseline, scores) == pytest.approx(1)


@pytest.mark.parametrize("statistic", [mean, interquartile_mean])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_interval_of_one_group_is_that_of_scipy(statistic, confidence):
    """Percentile intervals, but for what is left to chance."""
    ours = bootstrap_interval(
        statistic, RUNS[0], generator=np.random.default_rng(0), confidence=confidence, resamples=RESAMPLES
    )
    theirs = scipy_interval(statistic, RUNS[:1], confidence=confidence)
    assert ours.estimate == statistic(RUNS[0])
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1)


@pytest.mark.parametrize("paired", [True, False])
def test_interval_of_a_difference_is_that_of_scipy(paired):
    """Groups are drawn apart, or the same runs of both: of groups that vary together, the latter is much narrower."""
    baseline, scores = RUNS[0], RUNS[0] + RUNS[1] / 10

    def difference(one: np.ndarray, two: np.ndarray) -> float:
        return mean(one) - mean(two)

    generator = np.random.default_rng(0)
    ours = bootstrap_interval(difference, scores, baseline, generator=generator, paired=paired, resamples=RESAMPLES)
    theirs = scipy_interval(difference, (scores, baseline), paired=paired)
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.15 if paired else 1.5)
    assert (ours.high - ours.low < 3) == paired


def test_band_is_the_interval_at_each_point_as_of_scipy():
    """Of curves [runs, points]; the interquartile mean stays in it."""
    curves = RUNS.T * np.array([1.0, 0.1])
    band = bootstrap_band(interquartile_means, curves, np.random.default_rng(0), resamples=RESAMPLES)
    np.testing.assert_allclose(band.estimate, [interquartile_mean(points) for points in curves.T])
    for point, tolerance in ((0, 1.5), (1, 0.15)):
        theirs = scipy_interval(interquartile_mean, (curves[:, point],))
        assert (band.low[point], band.high[point]) == pytest.approx(theirs, abs=tolerance)


def test_performance_profile_is_that_of_rliable(library):
    """With its intervals: the share of runs above each threshold."""
    thresholds = np.array([60.0, 90.0, RUNS[0, 3], 110.0, 200.0])
    np.random.seed(0)
    profiles, intervals = library.create_performance_profile({"a": RUNS[0][:, None]}, thresholds, reps=RESAMPLES)
    np.testing.assert_allclose(performance_profile(RUNS[0], thresholds), profiles["a"])
    band = bootstrap_band(
        lambda above: above.mean(axis=0),
        RUNS[0][:, None] > thresholds,
        np.random.default_rng(0),
        resamples=RESAMPLES,
    )
    np.testing.assert_allclose(band.estimate, profiles["a"])
    np.testing.assert_allclose([band.low, band.high], intervals["a"], atol=0.09)  # a run is 1 / 12


def test_stratified_interval_is_that_of_rliable(library):
    """Of runs on three tasks of other levels: runs are drawn within their task."""
    tasks = np.random.default_rng(1).normal([0, 50, 100], [1, 5, 10], size=(8, 3))
    np.random.seed(0)
    _, intervals = library.get_interval_estimates(
        {"a": tasks}, lambda scores: np.array([metrics.aggregate_iqm(scores)]), reps=RESAMPLES
    )
    ours = stratified_interval(interquartile_mean, list(tasks.T), np.random.default_rng(0), resamples=RESAMPLES)
    assert (ours.low, ours.high) == pytest.approx(intervals["a"][:, 0], abs=0.4)


def test_interval_of_the_probability_of_improvement_is_that_of_rliable(library):
    """Groups are drawn apart, and may have different numbers of runs."""
    scores, baseline = RUNS[0] + 10, RUNS[1][:9]
    np.random.seed(0)
    _, intervals = library.get_interval_estimates(
        {"a": [scores[:, None], baseline[:, None]]},
        lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
        reps=500,
    )
    ours = bootstrap_interval(
        probability_of_improvement, scores, baseline, generator=np.random.default_rng(0), resamples=RESAMPLES
    )
    assert (ours.low, ours.high) == pytest.approx(intervals["a"][:, 0], abs=0.04)


def scipy_interval(statistic, groups, *, confidence=0.95, paired=False):
    """Low and high of `scipy.stats.bootstrap`."""
    interval = stats.bootstrap(
        tuple(groups),
        statistic,
        paired=paired,
        vectorized=False,
        method="percentile",
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(1),
    ).confidence_interval
    return interval.low, interval.high

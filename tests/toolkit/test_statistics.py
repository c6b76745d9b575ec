from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from framework.toolkit.statistics import interquartile_mean, mean, stratified_interval, two_level_interval


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6)))
def test_the_interquartile_mean_leaves_a_quarter_out_at_either_end(scores: np.ndarray) -> None:
    """As counted out one by one."""
    left = sorted(scores.tolist())
    for _ in range(len(scores) // 4):
        left.remove(max(left))
        left.remove(min(left))
    assert interquartile_mean(scores) == pytest.approx(sum(left) / len(left), abs=1e-6)


def test_the_interquartile_mean_of_all_runs_and_episodes() -> None:
    """Shape does not matter; outliers do not either."""
    assert interquartile_mean(np.array([[1e9, 2.0, 3.0, 4.0], [3.0, -1e9, 5.0, 1.0]])) == 3.0


def quantiles(values: list[float], confidence: float) -> tuple[float, float]:
    """Of values that are equally probable, and all that there are."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return low, high


def test_stratified_resamples_are_those_that_there_are() -> None:
    """The interval is that of all resamples, counted out: each task's runs come back with each other alone."""
    strata = [np.array([0.0, 1.0, 7.0]), np.array([20.0, 30.0])]
    every = [np.mean([*a, *b]) for a in product(strata[0], repeat=3) for b in product(strata[1], repeat=2)]
    for confidence in (0.5, 0.75):
        interval = stratified_interval(mean, strata, np.random.default_rng(1), confidence=confidence, resamples=4000)
        assert interval.estimate == pytest.approx(58 / 5)
        assert (interval.low, interval.high) == pytest.approx(quantiles(every, confidence), abs=0.35)


def test_two_level_resamples_are_those_that_there_are() -> None:
    """The interval is that of all resamples, counted out: of two runs, then of the two episodes of each."""
    scores = np.array([[0.0, 1.0], [10.0, 14.0]])
    every = [
        np.mean([*first, *second])
        for first_run, second_run in product(scores, repeat=2)
        for first in product(first_run, repeat=2)
        for second in product(second_run, repeat=2)
    ]
    assert len(every) == 64
    for confidence in (0.4, 0.9):
        interval = two_level_interval(
            mean, scores, generator=np.random.default_rng(2), confidence=confidence, resamples=4000
        )
        assert interval.estimate == 6.25
        assert (interval.low, interval.high) == pytest.approx(quantiles(every, confidence), abs=0.3)


def test_runs_are_drawn_together_and_episodes_apart() -> None:
    """A difference within runs that differ much is known well; one of episodes that differ much is not."""
    base = np.repeat(np.arange(5.0)[:, None] * 100, 8, axis=1)
    paired = two_level_interval(
        lambda a, b: mean(b) - mean(a), base, base + 1, generator=np.random.default_rng(0), resamples=200
    )
    assert paired == pytest.approx((1.0, 1.0, 1.0))
    apart = two_level_interval(
        lambda a, b: mean(b) - mean(a), base.T, base.T, generator=np.random.default_rng(0), resamples=200
    )
    assert apart.low < -20 < 20 < apart.high


@pytest.mark.parametrize(("runs", "episodes"), [(1, 40), (20, 10)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(runs: int, episodes: int) -> None:
    """Of normal scores, of one run and of many: 95 of 100 intervals, or some fewer, as bootstrap intervals do."""
    rng, covered, trials = np.random.default_rng(3), 0, 120
    for _ in range(trials):
        level = rng.normal(size=(runs, 1)) if runs > 1 else 0.0
        scores = 2.0 + level + rng.normal(size=(runs, episodes))
        interval = two_level_interval(mean, scores, generator=rng, resamples=120)
        covered += interval.low <= 2.0 <= interval.high
    assert 0.88 <= covered / trials <= 0.98


def test_stratified_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of tasks with levels of their own, and scores that are skewed."""
    rng, covered, trials = np.random.default_rng(4), 0, 120
    for _ in range(trials):
        strata = [level + rng.exponential(size=20) for level in (0.0, 100.0)]
        interval = stratified_interval(mean, strata, rng, resamples=120)
        covered += interval.low <= 51.0 <= interval.high
    assert 0.88 <= covered / trials <= 0.98


def test_equal_generators_give_equal_intervals() -> None:
    """The same seed draws the same; another draws others."""
    scores = np.random.default_rng(0).normal(size=(3, 50))
    interval, repeated, reseeded = (
        two_level_interval(interquartile_mean, scores, generator=np.random.default_rng(seed), resamples=50)
        for seed in (1, 1, 2)
    )
    assert interval == repeated != reseeded
    assert interval.estimate == reseeded.estimate

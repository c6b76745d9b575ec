import functools

import numpy as np
import pytest
from synthetic_runs import SECONDS, STEPS, write_run

from framework.errors import RunError
from framework.studies import comparison
from framework.studies.comparison import Estimate
from framework.studies.groups import Group
from framework.toolkit.statistics import bootstrap_band, interquartile_mean, interquartile_means

compare = functools.partial(comparison.compare, resamples=200)
LOW, HIGH = [10.0, 12.0, 11.0, 19.0], [30.0, 11.5, 33.0, 34.0]


@pytest.fixture
def group(tmp_path):
    """Makes a group: runs whose returns climb to their scores."""

    def make(name, scores, seeds=None, updates=4):
        runs = [
            write_run(tmp_path / name / str(seed), seed, np.linspace(0, score - 1, updates), score=score)
            for seed, score in zip(seeds or range(1, len(scores) + 1), scores, strict=True)
        ]
        return Group(name, tuple(runs))

    return make


def test_result_of_a_group_is_that_of_its_runs(group):
    """Scores are the last evaluations, training returns those before them, curves their interquartile mean."""
    (result,) = compare([group("low", LOW)]).results
    assert result.scores.tolist() == LOW
    assert result.mean.value == np.mean(LOW)
    assert result.iqm.value == interquartile_mean(np.array(LOW))
    assert result.training_return.value == pytest.approx(np.mean(LOW) - 1)
    assert result.mean_over_run.value == pytest.approx((np.mean(LOW) - 1) / 2)
    curves = np.stack([np.linspace(0, score - 1, 4) for score in LOW])
    np.testing.assert_array_equal(result.curve.x, STEPS * np.arange(1, 5))
    np.testing.assert_allclose(result.curve.y, interquartile_means(curves))
    assert result.seconds == 4 * SECONDS
    assert result.steps_per_second == STEPS / SECONDS


def test_intervals_hold_their_estimates(group):
    """They lie in the range of the runs; equal runs have equal intervals, whatever else is compared."""
    alone = compare([group("low", LOW)]).results[0]
    assert min(LOW) <= alone.mean.low < alone.mean.value < alone.mean.high <= max(LOW)
    for line in (alone.curve, alone.profile):
        assert (line.low <= line.y).all()
        assert (line.y <= line.high).all()
    beside = compare([group("high", HIGH), Group("low", tuple(outcome.run for outcome in alone.outcomes))]).results[1]
    assert beside.mean == alone.mean


def test_groups_are_compared_with_the_first(group):
    """By the difference of means, and by all pairs of runs."""
    (difference,) = compare([group("low", LOW), group("high", HIGH)]).differences
    assert difference.name == "high"
    assert difference.difference.value == pytest.approx(np.mean(HIGH) - np.mean(LOW))
    pairs = [high > low for high in HIGH for low in LOW]
    assert difference.probability.value == np.mean(pairs)
    assert difference.probability.low < difference.probability.value <= difference.probability.high
    assert (difference.paired, difference.better) == (True, 3)


def test_equal_seeds_are_compared_in_pairs(group):
    """A gain that is the same with every seed is certain, however far seeds are apart; with other seeds it is not."""
    scores = [0.0, 100.0, 200.0, 300.0]
    gained = [score + 1 for score in scores]
    first = group("first", scores)
    paired, apart = compare([first, group("paired", gained), group("apart", gained, seeds=[5, 6, 7, 8])]).differences
    assert paired.difference == (1.0, 1.0, 1.0)
    assert (paired.paired, paired.better) == (True, 4)
    assert apart.difference.low < -50 < 50 < apart.difference.high
    assert (apart.paired, apart.better) == (False, None)


def test_profile_is_the_share_of_runs_above(group):
    """From the lowest to the highest score of all groups; above the highest there is none."""
    low, high = compare([group("low", LOW), group("high", HIGH)]).results
    np.testing.assert_array_equal(low.profile.x, high.profile.x)
    assert (low.profile.x[0], low.profile.x[-1]) == (10.0, 34.0)
    assert low.profile.y[0] == 0.75
    assert high.profile.y[0] == 1
    assert low.profile.y[-1] == high.profile.y[-1] == 0
    middle = np.searchsorted(low.profile.x, 25.0)
    assert (low.profile.y[middle], high.profile.y[middle]) == (0, 0.75)


def test_steps_to_a_threshold_are_the_median_of_runs(group):
    """Infinite where most runs never get there; without a threshold nothing is told."""
    low, high = compare([group("low", LOW), group("high", HIGH)], threshold=17.0).results
    assert [outcome.reached for outcome in low.outcomes] == [None, None, None, 4 * STEPS]
    assert (low.reached, low.steps_to_threshold) == (1, np.inf)
    assert (high.reached, high.steps_to_threshold) == (3, 3 * STEPS)
    assert compare([group("none", LOW)]).results[0].reached == 0


def test_few_runs_have_no_intervals(group):
    """Two seeds say nothing of others, and the notes say so; from three on they say how much."""
    compared = compare([group("two", LOW[:2]), group("low", LOW)])
    assert compared.results[0].mean == Estimate(11.0, None, None)
    assert compared.results[0].curve.low is None
    assert compared.results[1].mean.low is not None
    assert compared.differences[0].difference.low is None
    assert "Fewer than 3 runs" in compared.notes[0]
    assert "Intervals of 4 runs are too narrow" in compare([group("low4", LOW)]).notes[0]
    assert compare([group("ten", range(10))]).notes == ()


@pytest.mark.parametrize(("runs", "share"), [(3, 0.75), (5, 0.84), (10, 0.9), (20, 0.93)])
def test_intervals_hold_the_mean_as_often_as_the_notes_say(group, runs, share):
    """Of normal scores: the intervals of 2000 groups, each the point of a band."""
    scores = np.random.default_rng(runs).normal(size=(runs, 2000))
    band = bootstrap_band(lambda drawn: drawn.mean(axis=0), scores, np.random.default_rng(0), resamples=1000)
    assert ((band.low <= 0) & (band.high >= 0)).mean() == pytest.approx(share, abs=0.02)
    (note,) = compare([group("low", LOW)]).notes
    assert f"{share:.0%}".replace("%", " %") + (" of cases" if runs == 3 else "") + f" with {runs}" in note


def test_groups_of_different_lengths_are_told(group):
    """And what else readers should know comes first."""
    compared = compare([group("short", LOW), group("long", LOW, updates=8)], notes=["something"])
    assert compared.notes[0] == "something"
    assert compared.notes[-1] == "Groups were trained for different numbers of steps: short 400, long 800."


def test_equal_scores_make_a_profile_of_one_point(group):
    """A constant is a score like any other."""
    (result,) = compare([group("same", [5.0, 5.0, 5.0])]).results
    assert result.mean == (5.0, 5.0, 5.0)
    assert result.profile.x.tolist() == [5.0]
    assert result.profile.y.tolist() == [0.0]


def test_other_columns_can_be_compared(group):
    """The last value of any column; one that is not there is an error with a suggestion."""
    (result,) = compare([group("low", LOW)], metric="return", column="time/seconds").results
    assert result.scores.tolist() == [score - 1 for score in LOW]
    assert result.curve.y[-1] == 4 * SECONDS
    with pytest.raises(RunError, match="did you mean evaluation/return"):
        compare([group("other", LOW)], metric="evaluation/retrun")

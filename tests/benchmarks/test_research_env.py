from __future__ import annotations

import numpy as np
import pytest
from researching import synthetic_world

from framework_research.browser.shortest import fewest_steps
from framework_research.environment import ResearchEnv
from measure import calibration, steps


def test_each_seed_is_played_once() -> None:
    """In order, whatever the number of environments, on the worlds of the test split."""
    seeds = range(5, 16)
    expected = [fewest_steps(synthetic_world(0.3, seed, "test")) for seed in seeds]
    for environments in (1, 4, 20):
        scores = calibration.play(calibration.POLICIES["oracle"], 0.3, seeds, environments)
        np.testing.assert_array_equal(scores, np.column_stack([np.ones(11), expected, np.ones(11)]))
    measurement = calibration.calibrate("synthetic", "random legal actions", 0.5, 6, 0, 3)
    assert (measurement["success"], measurement["efficiency"]) == (0.0, 0.0)
    assert measurement["steps"] > 1


def test_actions_are_drawn_among_the_legal() -> None:
    """Each as often as any other."""
    environment = ResearchEnv(task_complexity=0.5)
    environment.reset(seed=0)
    environment.step(0)
    mask = environment.step(environment.episodes.masks[0].nonzero()[0][1])[4]["action_mask"]
    legal, count = np.flatnonzero(mask), 20_000
    actions = np.zeros(count, np.int64)
    steps.choose(np.tile(mask, (count, 1)), np.linspace(0, 1, count, endpoint=False), actions)
    counts = np.bincount(actions, minlength=len(mask))
    assert np.flatnonzero(counts).tolist() == legal.tolist()
    assert np.ptp(counts[legal]) <= 1


def test_steps_are_counted_with_their_resets() -> None:
    """As many as were asked for, in one environment and in several."""
    for measurement in (steps.single(0.0, 300, 0), steps.vector(0.0, 300, 4, 0)):
        assert measurement["steps"] == 300
        assert 5 < measurement["resets"] < 100
        assert measurement["steps_per_second"] == pytest.approx(300 / measurement["seconds"], rel=0.05)

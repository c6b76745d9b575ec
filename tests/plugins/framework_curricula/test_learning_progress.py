from typing import Any

import numpy as np
import pytest
from curricula import CONTEXT, episode, restored, shares
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_curricula.config import LearningProgressConfig
from framework_curricula.learning_progress import LearningProgress


def build(**options: Any) -> LearningProgress:
    return LearningProgress(LearningProgressConfig(**{"tasks": ["a", "b"], **options}), CONTEXT)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_averages_are_means_that_become_moving_averages(results: list[bool]) -> None:
    """Result n has weight 1 / n, and the average's own weight once that is larger."""
    curriculum = build(fast=0.2, slow=0.05)
    fast = slow = 0.0
    for number, result in enumerate(results, start=1):
        fast += max(0.2, 1 / number) * (result - fast)
        slow += max(0.05, 1 / number) * (result - slow)
        curriculum.update([episode("a", result)])
    state = curriculum.state_dict()
    np.testing.assert_allclose(state["averages"], [[fast, 0.0], [slow, 0.0]], atol=1e-12)
    assert state["episodes"] == [len(results), 0]


def test_no_progress_is_no_preference() -> None:
    """Before the first episode, and where success never changes, all tasks are drawn alike."""
    curriculum = build()
    np.testing.assert_allclose(shares(curriculum, ["a", "b"]), 0.5, atol=0.02)
    for _ in range(50):
        metrics = curriculum.update([episode("a", True), episode("b", False)])
    np.testing.assert_allclose(shares(curriculum, ["a", "b"]), 0.5, atol=0.02)
    assert metrics["progress"] == 0.0
    assert metrics["effective_tasks"] == 2.0


def test_both_rise_and_fall_attract() -> None:
    """The task whose success changes takes all but the uniform share, and gives it back when it is steady again."""
    for start in (False, True):
        curriculum = build(exploration=0.2)
        for number in range(100):
            curriculum.update([episode("a", start if number < 50 else not start), episode("b", True)])
        np.testing.assert_allclose(shares(curriculum, ["a", "b"]), [0.9, 0.1], atol=0.01)
        for _ in range(4000):
            metrics = curriculum.update([episode("a", not start), episode("b", True)])
        assert metrics["progress"] < 1e-9
    assert curriculum.minimum_probability == pytest.approx(0.1)


def test_order_missing_results_and_strange_tasks_change_nothing() -> None:
    """Results of one update count alike in any order; those of other tasks are left out; no results are no news."""
    curriculum, noisy = build(), build()
    results = [episode("a", True), episode("a", False), episode("b", True), episode("a", False)]
    curriculum.update(results)
    noisy.update([*reversed(results), episode(3, True)])
    noisy.update([])
    assert curriculum.state_dict() == noisy.state_dict()


def test_state_survives() -> None:
    """The copy draws the same tasks and learns the same, through JSON."""
    curriculum = build()
    curriculum.update([episode("a", True), episode("b", False), episode("b", True)])
    copy = restored(curriculum, build())
    for instance in (curriculum, copy):
        instance.update([episode("b", True)] * 4)
    assert copy.state_dict() == curriculum.state_dict()
    assert copy.sample(20, np.random.default_rng(1)) == curriculum.sample(20, np.random.default_rng(1))

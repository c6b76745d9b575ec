from typing import Any

import numpy as np
import pytest
from curricula import CONTEXT, episode, restored, shares

from framework_curricula.config import LearnabilityConfig
from framework_curricula.learnability import Learnability


def build(**options: Any) -> Learnability:
    return Learnability(LearnabilityConfig(**{"tasks": ["a", "b", "c"], **options}), CONTEXT)


def play(curriculum: Learnability, rounds: int) -> dict[str, float]:
    """Task a always succeeds, b every other time, c never."""
    metrics = {}
    for number in range(rounds):
        metrics = curriculum.update([episode("a", True), episode("b", number % 2 == 0), episode("c", False)])
    return metrics


def test_tasks_are_drawn_by_the_variance_of_their_success() -> None:
    """In proportion to p (1 - p), with p from the definition of a moving average."""
    curriculum = build(exploration=0.0, smoothing=0.2)
    rates = {"a": 0.5, "b": 0.5, "c": 0.5}
    for number in range(5):
        for task, success in (("a", True), ("b", number % 2 == 0), ("c", False)):
            rates[task] = 0.8 * rates[task] + 0.2 * success
    play(curriculum, 5)
    weights = np.array([p * (1 - p) for p in rates.values()])
    np.testing.assert_allclose(shares(curriculum, list(rates)), weights / weights.sum(), atol=0.01)


def test_solved_and_hopeless_tasks_fade_but_do_not_starve() -> None:
    """What is neither takes almost all; the others keep the probability that is declared."""
    curriculum = build(exploration=0.3)
    metrics = play(curriculum, 200)
    probabilities = shares(curriculum, ["a", "b", "c"])
    assert curriculum.minimum_probability == pytest.approx(0.1)
    np.testing.assert_allclose(probabilities, [0.1, 0.8, 0.1], atol=0.01)
    assert 1 < metrics["effective_tasks"] < 2.2
    assert abs(metrics["success_rate"] - 0.5) < 0.02


def test_a_task_that_becomes_solvable_comes_back() -> None:
    """Success after a long time without raises its probability at once."""
    curriculum = build()
    play(curriculum, 200)
    before = shares(curriculum, ["c"])
    curriculum.update([episode("c", True)] * 3)
    assert shares(curriculum, ["c"]) > 5 * before


def test_order_missing_results_and_strange_tasks_change_nothing() -> None:
    """Results of one update count alike in any order; those of other tasks are left out; no results are no news."""
    curriculum, noisy = build(), build()
    results = [episode("a", True), episode("a", False), episode("b", True), episode("a", False)]
    curriculum.update(results)
    noisy.update([episode("zebra", True), *reversed(results), episode({"a": 1}, False)])
    noisy.update([])
    assert curriculum.state_dict() == noisy.state_dict()


def test_state_survives() -> None:
    """The copy draws the same tasks and learns the same, through JSON."""
    curriculum = build()
    play(curriculum, 7)
    copy = restored(curriculum, build())
    assert copy.state_dict() == curriculum.state_dict()
    assert play(copy, 3) == play(curriculum, 3)
    assert copy.sample(20, np.random.default_rng(1)) == curriculum.sample(20, np.random.default_rng(1))

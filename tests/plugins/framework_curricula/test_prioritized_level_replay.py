from typing import Any

import numpy as np
import pytest
from curricula import CONTEXT, episode, restored, shares

from framework.errors import RunError
from framework_curricula.config import PrioritizedLevelReplayConfig
from framework_curricula.prioritized_level_replay import PrioritizedLevelReplay, ranks


def build(**options: Any) -> PrioritizedLevelReplay:
    return PrioritizedLevelReplay(PrioritizedLevelReplayConfig(**{"count": 4, **options}), CONTEXT)


def play(curriculum: PrioritizedLevelReplay, scores: dict[int, float]) -> dict[str, float]:
    return curriculum.update([episode(task, score=score) for task, score in scores.items()])


def test_ranks() -> None:
    """1 is the largest; equal scores share the best rank among them."""
    np.testing.assert_array_equal(ranks(np.array([0.5, 2.0, 0.5, 0.1])), [2, 1, 2, 4])


def test_tasks_are_replayed_by_the_rank_of_their_score() -> None:
    """In proportion to rank ** (-1 / temperature), whatever the scores themselves are."""
    curriculum = build(temperature=0.5, staleness=0.0)
    play(curriculum, {0: 0.01, 1: 1000.0, 2: 0.02, 3: 0.03})
    weights = np.array([4.0, 1.0, 3.0, 2.0]) ** -2
    np.testing.assert_allclose(shares(curriculum, [0, 1, 2, 3]), weights / weights.sum(), atol=0.01)


def test_stale_tasks_come_back() -> None:
    """With the share of staleness, in proportion to the episodes since a task was last played."""
    curriculum = build(staleness=1.0)
    for task in range(4):
        play(curriculum, {task: 1.0})
    np.testing.assert_allclose(shares(curriculum, [0, 1, 2, 3]), np.array([3, 2, 1, 0]) / 6, atol=0.01)


def test_every_task_is_played_before_the_best_are_all_that_is() -> None:
    """Tasks not played yet have the probability of a uniform choice, all of it at first."""
    curriculum = build(temperature=0.01, staleness=0.0)
    np.testing.assert_allclose(shares(curriculum, [0, 1, 2, 3]), 0.25, atol=0.01)
    metrics = play(curriculum, {0: 1.0, 1: 2.0})
    np.testing.assert_allclose(shares(curriculum, [0, 1, 2, 3]), [0, 0.5, 0.25, 0.25], atol=0.01)
    assert metrics["seen"] == 0.5
    assert metrics["score"] == 1.5


def test_a_new_score_replaces_the_old_one() -> None:
    """Several of one update count as their mean."""
    curriculum = build()
    play(curriculum, {2: 100.0})
    curriculum.update([episode(2, score=1.0), episode(2, score=3.0)])
    assert curriculum.state_dict()["scores"] == [0.0, 0.0, 2.0, 0.0]


def test_episodes_without_any_score_are_refused_at_once() -> None:
    """Where the algorithm gives none; a few without, among others or later, change nothing."""
    curriculum = build()
    with pytest.raises(RunError, match="take one that has episode_scores, or another curriculum"):
        curriculum.update([episode(0), episode(1, True)])
    curriculum.update([])
    curriculum.update([episode(0), episode(1, score=1.0), episode("never sent", score=9.0)])
    before = curriculum.state_dict()
    curriculum.update([episode(0)])
    assert curriculum.state_dict() == before
    assert before["scores"] == [0.0, 1.0, 0.0, 0.0]


def test_state_survives() -> None:
    """The copy draws the same tasks and learns the same, through JSON."""
    curriculum = build()
    play(curriculum, {0: 0.3, 2: 0.1})
    copy = restored(curriculum, build())
    for instance in (curriculum, copy):
        play(instance, {1: 0.7})
    assert copy.state_dict() == curriculum.state_dict()
    assert copy.sample(20, np.random.default_rng(1)) == curriculum.sample(20, np.random.default_rng(1))

"""What actions are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from researching import Played, play

from framework_research.browser import actions
from framework_research.browser.rewards import count_evidence, potential
from framework_research.environment import ResearchEnv
from framework_research.policies import experts

LEVELS = [0.0, 0.2, 0.5, 0.8, 1.0]


@pytest.mark.parametrize("level", [0.0, 0.3, 0.45])
def test_evidence_and_the_right_answer_succeed(level: float) -> None:
    """A question is worth 1, less 0.001 a step."""
    for seed in range(10):
        played = Played(level, seed, reward_shaping="sparse")
        for _ in range(played.world["hops"][0]):
            played.note_next()
        played.act(actions.ANSWER + played.browser["noted"] - 1)
        assert played.terminated
        assert played.rewards[-1] == pytest.approx(1 - 0.001)
        assert played.rewards[:-1] == pytest.approx([-0.001] * (len(played.rewards) - 1))
        assert bool(played.environment.episodes.succeeded[0])


def test_a_right_answer_without_all_evidence_fails() -> None:
    """It is worth a quarter of the share of evidence that is there, less a tenth."""
    for seed in range(200):
        played = Played(0.3, seed, reward_shaping="sparse")
        world = played.world
        if world["hops"][0] != 2:
            continue
        target = world["chain"][0, 2]
        # Another fact about the same entity, in the first document: the answer is right, its evidence is not there.
        start, page = int(world["chain"][0, 0]), 0
        lines = np.flatnonzero(world["object"][start, page] == target)
        if not len(lines):
            continue
        played.open(start)
        played.act(actions.NOTE + int(lines[0]))
        noted = played.browser["notes"][0].tolist()
        recall = float(noted == [world["chain"][0, 1], world["asked"][0, 1], target]) / 2
        assert played.act(actions.ANSWER) == pytest.approx(0.25 * recall - 0.1 - 0.001)
        assert played.terminated
        assert not played.environment.episodes.succeeded[0]
        return
    pytest.fail("no such world")


def test_too_many_notes_fail() -> None:
    """Less than three quarters of them are evidence, and the question does not succeed; dropping some mends it."""
    for extra, succeeds in ((0, True), (1, False)):
        played = Played(0.0, 3, reward_shaping="sparse")
        played.note_next()
        answer = actions.ANSWER
        for line in np.flatnonzero(played.mask[actions.NOTE : actions.NOTE_BAR])[:extra]:
            played.act(actions.NOTE + int(line))
        assert played.act(answer) == pytest.approx((1 if succeeds else 0.25 - 0.1) - 0.001)
        assert bool(played.environment.episodes.succeeded[0]) == succeeds
    played = Played(0.0, 3)
    played.note_next()
    line = int(np.flatnonzero(played.mask[actions.NOTE : actions.NOTE_BAR])[0])
    played.act(actions.NOTE + line)
    played.act(actions.DROP + 1)
    assert played.mask[actions.NOTE + line]
    played.act(actions.ANSWER)
    assert played.environment.episodes.succeeded[0]


@pytest.mark.parametrize("policy", [experts.random_legal, experts.expert], ids=["random", "expert"])
@pytest.mark.parametrize("level", LEVELS)
def test_shaping_adds_up_to_nothing(level: float, policy: Any) -> None:
    """The discounted sum of what dense rewards add is minus half the potential at the start, which is 0."""
    gamma = 0.97
    for seed in range(5):
        options = {"task_complexity": level, "observation_mode": "state"}
        dense, _ = play(ResearchEnv(**options, gamma=gamma), policy, seed)
        sparse, _ = play(ResearchEnv(**options, reward_shaping="sparse"), policy, seed)
        added = [gamma**step * (a - b) for step, (a, b) in enumerate(zip(dense, sparse, strict=True))]
        assert sum(added) == pytest.approx(0.0, abs=1e-9)
        if policy is experts.expert:
            assert max(added) > 0.001


def test_potential_is_the_share_of_all_evidence() -> None:
    """Of all questions, those answered too; other notes add nothing, and after the last answer it is 0."""
    played = next(played for played in (Played(0.7, seed) for seed in range(50)) if played.world["questions"] == 2)
    world, browser = played.world, played.browser
    total, noted = int(world["hops"].sum()), 0
    for question in range(2):
        for hop in range(world["hops"][question]):
            assert potential(world, browser) == pytest.approx(noted / total)
            assert count_evidence(world, browser) == hop
            played.note_next()
            noted += 1
        if question == 0:
            before = potential(world, browser)
            extra = np.flatnonzero(played.mask[actions.NOTE : actions.NOTE_BAR])
            if len(extra):
                played.act(actions.NOTE + int(extra[0]))
                assert potential(world, browser) == before
                played.act(actions.DROP + int(browser["noted"]) - 1)
        played.act(actions.ANSWER + int(browser["noted"]) - 1)
    assert potential(world, browser) == 0

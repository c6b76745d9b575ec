"""What each action does, and what it is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from researching import Played, play

from framework_research.browser import rules
from framework_research.environment import ResearchEnv
from framework_research.policies import experts
from framework_research.worlds.world import BARS, LINES, NOTES, RESULTS

LEVELS = [0.0, 0.2, 0.5, 0.8, 1.0]


def test_there_are_55_actions() -> None:
    """In the order that the documentation says."""
    sizes = {"SEARCH_NOTE": NOTES, "OPEN": RESULTS, "FOLLOW": LINES, "FIND": 5, "NOTE": LINES, "NOTE_BAR": BARS}
    names = ["SEARCH_QUESTION", "SEARCH_NOTE", "OPEN", "FOLLOW", "PAGE_DOWN", "PAGE_UP", "BACK", "VIEW_FIGURE", "FIND"]
    names += ["NOTE", "NOTE_BAR", "ANSWER", "DROP"]
    place = 0
    for name in names:
        assert getattr(rules, name) == place
        place += sizes.get(name, NOTES if name in ("ANSWER", "DROP") else 1)
    assert place == rules.ACTIONS == 55


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_legal_first(level: float) -> None:
    """Nothing but a search for what the question starts with."""
    assert np.flatnonzero(Played(level).mask).tolist() == [rules.SEARCH_QUESTION]


@pytest.mark.parametrize("level", LEVELS)
def test_searching_finds_whom_it_is_for(level: float) -> None:
    """Among as many different results as there is room or there are documents, with the twin, where there is one."""
    for seed in range(20):
        played = Played(level, seed)
        start = int(played.world["chain"][0, 0])
        played.act(rules.SEARCH_QUESTION)
        found = played.browser["results"].tolist()
        assert start in found
        assert len(set(found)) == RESULTS
        assert played.world["twin"][start] in (-1, *found)


@pytest.mark.parametrize("seed", range(20))
def test_what_would_change_nothing_is_illegal(seed: int) -> None:
    """Searching for whom the results are of, opening the page that is open; both are legal again after others."""
    played = Played(0.5, seed)
    start = int(played.world["chain"][0, 0])
    played.act(rules.SEARCH_QUESTION)
    assert not played.mask[rules.SEARCH_QUESTION]
    first, other = (rules.OPEN + at for at in (0, 1))
    played.act(first)
    assert not played.mask[first]
    played.act(other)
    assert played.mask[first]
    line = rules.NOTE + int(np.flatnonzero(played.mask[rules.NOTE : rules.NOTE + LINES])[0])
    played.act(line)
    target = int(played.browser["notes"][0, 2])
    assert played.mask[rules.SEARCH_NOTE] == (target != start)
    if target != start:
        played.act(rules.SEARCH_NOTE)
        assert not played.mask[rules.SEARCH_NOTE]
        assert played.mask[rules.SEARCH_QUESTION]


@pytest.mark.parametrize("level", [0.0, 0.3, 0.45])
def test_evidence_and_the_right_answer_succeed(level: float) -> None:
    """A question is worth 1, less 0.001 a step."""
    for seed in range(10):
        played = Played(level, seed, reward_shaping="sparse")
        for _ in range(played.world["hops"][0]):
            played.note_next()
        played.act(rules.ANSWER + played.browser["noted"] - 1)
        assert played.terminated
        assert played.rewards[-1] == pytest.approx(1 - 0.001)
        assert played.rewards[:-1] == pytest.approx([-0.001] * (len(played.rewards) - 1))
        assert bool(played.environment.desks.succeeded[0])


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
        played.act(rules.NOTE + int(lines[0]))
        noted = played.browser["notes"][0].tolist()
        recall = float(noted == [world["chain"][0, 1], world["asked"][0, 1], target]) / 2
        assert played.act(rules.ANSWER) == pytest.approx(0.25 * recall - 0.1 - 0.001)
        assert played.terminated
        assert not played.environment.desks.succeeded[0]
        return
    pytest.fail("no such world")


def test_too_many_notes_fail() -> None:
    """Less than three quarters of them are evidence, and the question does not succeed; dropping some mends it."""
    for extra, succeeds in ((0, True), (1, False)):
        played = Played(0.0, 3, reward_shaping="sparse")
        played.note_next()
        answer = rules.ANSWER
        for line in np.flatnonzero(played.mask[rules.NOTE : rules.NOTE_BAR])[:extra]:
            played.act(rules.NOTE + int(line))
        assert played.act(answer) == pytest.approx((1 if succeeds else 0.25 - 0.1) - 0.001)
        assert bool(played.environment.desks.succeeded[0]) == succeeds
    played = Played(0.0, 3)
    played.note_next()
    line = int(np.flatnonzero(played.mask[rules.NOTE : rules.NOTE_BAR])[0])
    played.act(rules.NOTE + line)
    played.act(rules.DROP + 1)
    assert played.mask[rules.NOTE + line]
    played.act(rules.ANSWER)
    assert played.environment.desks.succeeded[0]


def test_an_illegal_action_does_nothing_and_costs() -> None:
    """A step, and 0.01 more."""
    environment = ResearchEnv(task_complexity=0.5, observation_mode="state")
    before, info = environment.reset(seed=0)
    after, reward, terminated, _, later = environment.step(rules.ANSWER + 3)
    assert reward == pytest.approx(-0.011)
    assert not terminated
    np.testing.assert_array_equal(info["action_mask"], later["action_mask"])
    changed = np.flatnonzero((before != after).any(1))
    assert changed.tolist() in ([], [30])  # the row that tells the time


def test_pages_and_the_way_back() -> None:
    """Pages turn within a document; BACK returns to the page from which a document was opened."""
    played = Played(1.0, 1)
    start = int(played.world["chain"][0, 0])
    played.open(start)
    assert not played.mask[rules.PAGE_UP]
    assert not played.mask[rules.BACK]
    played.act(rules.PAGE_DOWN)
    assert played.browser["page"] == 1
    result = next(at for at, entity in enumerate(played.browser["results"]) if entity != start)
    played.act(rules.OPEN + result)
    assert (played.browser["document"], played.browser["page"]) == (played.browser["results"][result], 0)
    played.act(rules.BACK)
    assert (played.browser["document"], played.browser["page"]) == (start, 1)
    played.act(rules.PAGE_UP)
    assert played.browser["page"] == 0


def test_links_lead_to_documents_unless_they_are_dead() -> None:
    """FOLLOW opens the object's document."""
    played = Played(0.6, 2)
    start = int(played.world["chain"][0, 0])
    played.open(start)
    alive = played.world["alive"][start, 0].astype(bool)
    np.testing.assert_array_equal(played.mask[rules.FOLLOW : rules.FOLLOW + LINES], alive)
    line = int(np.flatnonzero(alive)[0])
    played.act(rules.FOLLOW + line)
    assert played.browser["document"] == played.world["object"][start, 0, line]


def test_bars_are_noted_after_the_figure_was_opened() -> None:
    """And turning the page closes it."""
    for seed in range(100):
        played = Played(0.7, seed)
        start = int(played.world["chain"][0, 0])
        if played.world["figure_page"][start] != 0 or played.world["pages"] < 2:
            continue
        played.open(start)
        bars = slice(rules.NOTE_BAR, rules.NOTE_BAR + BARS)
        assert not played.mask[bars].any()
        played.act(rules.VIEW_FIGURE)
        assert played.mask[bars].sum() == played.world["bars"]
        played.act(rules.NOTE_BAR + 1)
        assert not played.mask[rules.NOTE_BAR + 1]
        expected = [start, played.world["figure_relation"][start], played.world["bar_entity"][start, 1]]
        assert played.browser["notes"][0].tolist() == expected
        played.act(rules.PAGE_DOWN)
        assert not played.mask[bars].any()
        played.act(rules.PAGE_UP)
        assert not played.mask[bars].any()
        return
    pytest.fail("no such world")


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


def test_episodes_are_cut_short() -> None:
    """After as many steps as the option says, and without success."""
    environment = ResearchEnv(max_steps=5)
    environment.reset(seed=0)
    for step in range(5):
        _, _, terminated, truncated, info = environment.step(rules.SEARCH_QUESTION)
        assert not terminated
        assert truncated == (step == 4)
    assert info["success"] is False


def test_episodes_that_were_cut_short_wait() -> None:
    """What is done in them afterwards changes nothing and is worth nothing, and time stays within its bounds."""
    environment = ResearchEnv(max_steps=5, observation_mode="state")
    environment.reset(seed=0)
    last = [environment.step(rules.SEARCH_QUESTION)[0] for _ in range(5)][-1]
    rows, reward, terminated, truncated, _ = environment.step(rules.SEARCH_QUESTION)
    np.testing.assert_array_equal(rows, last)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert rows in environment.observation_space


@pytest.mark.parametrize("render_mode", [None, "ansi"])
@pytest.mark.parametrize("action", [-1, rules.ACTIONS])
def test_actions_that_there_are_not(action: int, render_mode: str | None) -> None:
    """They are an error, and touch no memory."""
    environment = ResearchEnv(render_mode=render_mode)
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="from 0 to 54"):
        environment.step(action)

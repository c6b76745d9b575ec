"""What each action does, and when it is legal."""

from __future__ import annotations

import numpy as np
import pytest
from researching import Played

from framework_research.browser import actions
from framework_research.browser.state import RESULTS
from framework_research.environment import ResearchEnv
from framework_research.worlds.world import BARS, LINES

LEVELS = [0.0, 0.2, 0.5, 0.8, 1.0]


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_legal_first(level: float) -> None:
    """Nothing but a search for what the question starts with."""
    assert np.flatnonzero(Played(level).mask).tolist() == [actions.SEARCH_QUESTION]


@pytest.mark.parametrize("level", LEVELS)
def test_searching_finds_whom_it_is_for(level: float) -> None:
    """Among as many different results as there is room or there are documents, with the twin, where there is one."""
    for seed in range(20):
        played = Played(level, seed)
        start = int(played.world["chain"][0, 0])
        played.act(actions.SEARCH_QUESTION)
        results = played.browser["results"].tolist()
        assert start in results
        assert len(set(results)) == RESULTS
        assert played.world["twin"][start] in (-1, *results)


@pytest.mark.parametrize("seed", range(20))
def test_what_would_change_nothing_is_illegal(seed: int) -> None:
    """Searching for whom the results are of, opening the page that is open; both are legal again after others."""
    played = Played(0.5, seed)
    start = int(played.world["chain"][0, 0])
    played.act(actions.SEARCH_QUESTION)
    assert not played.mask[actions.SEARCH_QUESTION]
    first, second = (actions.OPEN + at for at in (0, 1))
    played.act(first)
    assert not played.mask[first]
    played.act(second)
    assert played.mask[first]
    line = actions.NOTE + int(np.flatnonzero(played.mask[actions.NOTE : actions.NOTE + LINES])[0])
    played.act(line)
    target = int(played.browser["notes"][0, 2])
    assert played.mask[actions.SEARCH_NOTE] == (target != start)
    if target != start:
        played.act(actions.SEARCH_NOTE)
        assert not played.mask[actions.SEARCH_NOTE]
        assert played.mask[actions.SEARCH_QUESTION]


def test_an_illegal_action_does_nothing_and_costs() -> None:
    """A step, and 0.01 more."""
    environment = ResearchEnv(task_complexity=0.5, observation_mode="state")
    before, info = environment.reset(seed=0)
    after, reward, terminated, _, later = environment.step(actions.ANSWER + 3)
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
    assert not played.mask[actions.PAGE_UP]
    assert not played.mask[actions.BACK]
    played.act(actions.PAGE_DOWN)
    assert played.browser["page"] == 1
    result = next(at for at, entity in enumerate(played.browser["results"]) if entity != start)
    played.act(actions.OPEN + result)
    assert (played.browser["document"], played.browser["page"]) == (played.browser["results"][result], 0)
    played.act(actions.BACK)
    assert (played.browser["document"], played.browser["page"]) == (start, 1)
    played.act(actions.PAGE_UP)
    assert played.browser["page"] == 0


def test_links_lead_to_documents_unless_they_are_dead() -> None:
    """FOLLOW opens the object's document."""
    played = Played(0.6, 2)
    start = int(played.world["chain"][0, 0])
    played.open(start)
    alive = played.world["alive"][start, 0].astype(bool)
    np.testing.assert_array_equal(played.mask[actions.FOLLOW : actions.FOLLOW + LINES], alive)
    line = int(np.flatnonzero(alive)[0])
    played.act(actions.FOLLOW + line)
    assert played.browser["document"] == played.world["object"][start, 0, line]


def test_bars_are_noted_after_the_figure_was_opened() -> None:
    """And turning the page closes it."""
    for seed in range(100):
        played = Played(0.7, seed)
        start = int(played.world["chain"][0, 0])
        if played.world["figure_page"][start] != 0 or played.world["pages"] < 2:
            continue
        played.open(start)
        bars = slice(actions.NOTE_BAR, actions.NOTE_BAR + BARS)
        assert not played.mask[bars].any()
        played.act(actions.VIEW_FIGURE)
        assert played.mask[bars].sum() == played.world["bars"]
        played.act(actions.NOTE_BAR + 1)
        assert not played.mask[actions.NOTE_BAR + 1]
        expected = [start, played.world["figure_relation"][start], played.world["bar_entity"][start, 1]]
        assert played.browser["notes"][0].tolist() == expected
        played.act(actions.PAGE_DOWN)
        assert not played.mask[bars].any()
        played.act(actions.PAGE_UP)
        assert not played.mask[bars].any()
        return
    pytest.fail("no such world")

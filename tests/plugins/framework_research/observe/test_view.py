"""What can be seen, and what cannot."""

from __future__ import annotations

import numpy as np
import pytest
from researching import Played

from framework_research.browser import actions
from framework_research.observe import view
from framework_research.worlds.world import BARS, CODE, LINES

RELATION = slice(view.RELATION, view.SUBJECT)
SUBJECT = slice(view.SUBJECT, view.OBJECT)
OBJECT = slice(view.OBJECT, view.FEATURES)


def observed_rows(played: Played) -> np.ndarray:
    return played.environment.episodes.observations()[0]


def test_sizes() -> None:
    """31 rows of 51 numbers between -1 and 1."""
    assert (view.TOKENS, view.FEATURES) == (31, 51)
    assert played_anywhere().environment.observation_space.shape == (31, 51)


def played_anywhere(seed: int = 0, level: float = 0.7) -> Played:
    """Somewhere in an episode, after some legal actions."""
    played, rng = Played(level, seed), np.random.default_rng(seed)
    for _ in range(30):
        legal = np.flatnonzero(played.mask)
        played.act(int(rng.choice(legal[(legal < actions.ANSWER) | (legal >= actions.DROP)])))
    return played


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_what_the_browser_shows(seed: int) -> None:
    """Lines of the open page, results and notes, with the codes of their entities; nothing where there is nothing."""
    played = played_anywhere(seed)
    rows, world, browser = observed_rows(played), played.world, played.browser
    code = world["code"] / CODE**0.5
    assert np.abs(rows).max() <= 1
    np.testing.assert_array_equal(rows[view.QUESTION, SUBJECT], code[world["chain"][browser["question"], 0]])
    for at, entity in enumerate(browser["results"]):
        expected = code[entity] if entity >= 0 else np.zeros(CODE)
        np.testing.assert_array_equal(rows[view.RESULT + at, SUBJECT], expected)
    document, page = browser["document"], browser["page"]
    for line in range(LINES):
        row = rows[view.LINE + line]
        if document < 0:
            assert not row.any()
            continue
        np.testing.assert_array_equal(row[SUBJECT], code[world["subject"][document, page, line]])
        assert row[RELATION].argmax() == world["relation"][document, page, line]
        target = world["object"][document, page, line]
        np.testing.assert_array_equal(row[OBJECT], code[target] if target >= 0 else np.zeros(CODE))
        asks = np.arange(3) == world["figure_rule"][document] if target < 0 else np.zeros(3)
        np.testing.assert_array_equal(row[view.ASKS : view.ASKS + 3], asks)
    figure = document >= 0 and world["figure_page"][document] == page
    for bar in range(world["bars"] if figure else 0):
        row = rows[view.BAR + bar]
        np.testing.assert_array_equal(row[OBJECT], code[world["bar_entity"][document, bar]])
        np.testing.assert_array_equal(row[view.ASKS : view.ASKS + 3], np.arange(3) == world["figure_rule"][document])
    for note, (subject, relation, target) in enumerate(browser["notes"]):
        row = rows[view.NOTE + note]
        if note < browser["noted"]:
            np.testing.assert_array_equal(row[SUBJECT], code[subject])
            np.testing.assert_array_equal(row[OBJECT], code[target])
            assert row[RELATION].argmax() == relation
            assert row[view.LAST] == (note == browser["noted"] - 1)
        else:
            assert not row.any()


@pytest.mark.parametrize("seed", range(20))
def test_highlighting_is_similarity_to_who_is_looked_for(seed: int) -> None:
    """The last note's object, else where the question starts; a twin is similar, but not as much."""
    played = played_anywhere(seed)
    rows, browser = observed_rows(played), played.browser
    focus = browser["notes"][browser["noted"] - 1, 2] if browser["noted"] else played.world["chain"][0, 0]
    code = played.world["code"][focus] / CODE**0.5
    for row in rows[view.RESULT : view.MISC]:
        assert row[view.SUBJECT_IN_FOCUS] == pytest.approx(row[SUBJECT] @ code)
        assert row[view.OBJECT_IN_FOCUS] == pytest.approx(row[OBJECT] @ code)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_asked_next_is_highlighted(seed: int) -> None:
    """The relation of the hop behind the notes: with one note that of the second, and none where all hops have one."""
    played = played_anywhere(seed)
    relations, noted = played.world["asked"][played.browser["question"]], played.browser["noted"]
    next_relation = relations[noted] if noted < len(relations) else -1
    for row in observed_rows(played)[view.HOP : view.MISC]:
        assert row[view.NEXT] == (next_relation >= 0 and row[view.RELATION + next_relation] == 1)


def test_heights_are_seen_in_an_open_figure_only() -> None:
    """Before, its legend can be read, and nothing that depends on heights."""
    for seed in range(100):
        played = Played(0.7, seed)
        start = int(played.world["chain"][0, 0])
        if played.world["figure_page"][start] != 0:
            continue
        played.open(start)
        bars = slice(view.BAR, view.BAR + BARS)
        before = observed_rows(played)[bars]
        assert not before[:, [view.HEIGHT, view.HEIGHT_KNOWN]].any()
        for bar in range(played.world["bars"]):
            np.testing.assert_array_equal(
                before[bar, OBJECT] * CODE**0.5, played.world["code"][played.world["bar_entity"][start, bar]]
            )
        played.act(actions.VIEW_FIGURE)
        count = played.world["bars"]
        np.testing.assert_array_equal(
            observed_rows(played)[bars][:count, view.HEIGHT], played.world["bar_height"][start, :count]
        )
        return
    pytest.fail("no such world")

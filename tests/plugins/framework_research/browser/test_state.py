"""What follows from a browser's state."""

from __future__ import annotations

import numpy as np
import pytest
from researching import Played

from framework_research.browser import actions
from framework_research.browser.state import (
    BROWSER,
    entity_in_focus,
    has_note,
    page_about_hop,
    page_has_figure,
    reset_browser,
)


def test_a_reset_leaves_nothing() -> None:
    """Whatever was there before: no results, no page, no notes, no way back, no steps."""
    used, new = (np.zeros(1, BROWSER)[0] for _ in range(2))
    for name in BROWSER.names:
        used[name] = 1
    for browser in (used, new):
        reset_browser(browser)
    for name in set(BROWSER.names) - {"history"}:  # of which none counts
        np.testing.assert_array_equal(used[name], new[name])
    assert (used["document"], used["searched"], used["noted"], used["visited"]) == (-1, -1, 0, 0)


@pytest.mark.parametrize("seed", range(10))
def test_the_last_note_says_who_is_looked_for(seed: int) -> None:
    """Its object; without notes it is who the question starts with."""
    played = Played(0.5, seed)
    chain = played.world["chain"][0]
    assert entity_in_focus(played.world, played.browser) == chain[0]
    for hop in range(played.world["hops"][0]):
        played.note_next()
        assert entity_in_focus(played.world, played.browser) == chain[hop + 1]
        subject, relation, target = played.browser["notes"][hop].tolist()
        assert has_note(played.browser, subject, relation, target)
        assert not has_note(played.browser, subject, relation, subject)
    played.act(actions.DROP + int(played.browser["noted"]) - 1)
    assert entity_in_focus(played.world, played.browser) == chain[played.browser["noted"]]


@pytest.mark.parametrize("seed", range(10))
def test_the_next_page_about_a_hop(seed: int) -> None:
    """The first behind the open one, round to the one before it, with a line that has the hop's relation."""
    played = Played(1.0, seed)
    world, browser = played.world, played.browser
    assert not page_has_figure(world, browser)  # no page is open
    played.open(int(world["chain"][0, 0]))
    document, pages = int(browser["document"]), int(world["pages"])
    for page in range(pages):
        browser["page"] = page
        assert page_has_figure(world, browser) == (world["figure_page"][document] == page)
        for hop in range(world["hops"][0]):
            has_relation = (world["relation"][document] == world["asked"][0, hop]).any(1)
            ahead = [(page + step) % pages for step in range(1, pages)]
            expected = next((behind for behind in ahead if has_relation[behind]), -1)
            assert page_about_hop(world, browser, hop) == expected

"""Actions: their numbers."""

from __future__ import annotations

from framework_research.browser import actions
from framework_research.browser.state import NOTES, RESULTS
from framework_research.environment import ResearchEnv
from framework_research.worlds.world import BARS, LINES


def test_there_are_55_actions() -> None:
    """In the order that the documentation says."""
    sizes = {"SEARCH_NOTE": NOTES, "OPEN": RESULTS, "FOLLOW": LINES, "FIND": 5, "NOTE": LINES, "NOTE_BAR": BARS}
    names = ["SEARCH_QUESTION", "SEARCH_NOTE", "OPEN", "FOLLOW", "PAGE_DOWN", "PAGE_UP", "BACK", "VIEW_FIGURE", "FIND"]
    names += ["NOTE", "NOTE_BAR", "ANSWER", "DROP"]
    place = 0
    for name in names:
        assert getattr(actions, name) == place
        place += sizes.get(name, NOTES if name in ("ANSWER", "DROP") else 1)
    assert place == actions.ACTIONS == 55


def test_spaces_and_masks_have_all_actions() -> None:
    """And no other."""
    environment = ResearchEnv(observation_mode="state")
    _, info = environment.reset(seed=0)
    assert environment.action_space.n == info["action_mask"].size == actions.ACTIONS

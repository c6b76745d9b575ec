"""What is observed in each mode, and which row each action is about."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from researching import on_figure

from framework_research.browser import actions
from framework_research.config import MODES
from framework_research.environment import ResearchEnv
from framework_research.observe import view, words
from framework_research.observe.spaces import observer
from framework_research.worlds.world import HOPS, LINES


def test_pictures_fit_encoders_of_images() -> None:
    """Sides are multiples of 16, and actions are about no token, as patches are no rows."""
    environment = ResearchEnv(observation_mode="image")
    assert environment.observation_space.shape == (3, 112, 112)
    assert type(environment.action_space) is Discrete
    assert environment.action_space.n == actions.ACTIONS
    observation, _ = environment.reset(seed=0)
    assert environment.observation_space.contains(observation)


def test_actions_are_about_the_markers_of_their_rows() -> None:
    """The row that an action is about in numbers starts with the token that it is about in words."""
    page, text = (ResearchEnv(observation_mode=mode).action_space for mode in ("page", "text"))
    assert text.verbs == page.verbs
    assert text.tokens == tuple(words.WORDS * row for row in page.tokens)


def test_words_stand_beside_the_picture() -> None:
    """In mode "text+figure": the same words as alone, and the figure of mode "multimodal"."""
    played = on_figure(observation_mode="text")
    played.act(actions.VIEW_FIGURE)
    episodes = played.environment.episodes
    combined, text, pictured = (
        observer(mode)(episodes.worlds, episodes.browsers, 100) for mode in ("text+figure", "text", "multimodal")
    )
    assert sorted(combined) == ["figure", "tokens", "types"]
    for name, array in {**text, "figure": pictured["figure"]}.items():
        np.testing.assert_array_equal(combined[name], array)
    assert combined["figure"].any()


def test_actions_are_about_rows_of_their_kind() -> None:
    """An action with a number is about the row of that number, the others about the only one of their kind."""
    rows = ResearchEnv(observation_mode="page").action_space.tokens
    assert len(rows) == actions.ACTIONS
    assert rows[actions.SEARCH_QUESTION] == view.QUESTION
    assert rows[actions.PAGE_DOWN] == rows[actions.PAGE_UP] == rows[actions.VIEW_FIGURE] == view.DOCUMENT
    assert rows[actions.BACK] == view.MISC
    assert rows[actions.NOTE_BAR : actions.ANSWER] == tuple(range(view.BAR, view.NOTE))
    for first in (actions.FOLLOW, actions.NOTE):
        assert rows[first : first + LINES] == tuple(range(view.LINE, view.BAR))
    assert rows[actions.FIND : actions.FIND + HOPS] == tuple(range(view.HOP, view.RESULT))
    assert rows[actions.OPEN : actions.FOLLOW] == tuple(range(view.RESULT, view.DOCUMENT))
    for first in (actions.SEARCH_NOTE, actions.ANSWER, actions.DROP):
        assert rows[first : first + 8] == tuple(range(view.NOTE, view.MISC))


@pytest.mark.parametrize("mode", MODES)
def test_observations_are_copies_in_their_space(mode: str) -> None:
    """They stay what they are when the episode goes on."""
    environment = ResearchEnv(observation_mode=mode)
    first, info = environment.reset(seed=0)
    snapshot = {name: part.copy() for name, part in first.items()} if isinstance(first, dict) else first.copy()
    second = environment.step(int(np.flatnonzero(info["action_mask"])[0]))[0]
    for observation in (first, second):
        assert environment.observation_space.contains(observation)
    np.testing.assert_equal(first, snapshot)

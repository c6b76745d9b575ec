"""Following an episode, to tell what was done and what came of it."""

from __future__ import annotations

import re

import pytest
from shown import Shown

from framework.errors import RunError
from framework_research.browser import actions
from framework_research.environment import ResearchEnv


def test_mistakes_are_told() -> None:
    """An illegal action is called so, and an answer that fails."""
    shown = Shown(0.0, seed=4)
    shown.environment.step(actions.OPEN + 2)
    assert "last action: OPEN 2 (illegal)\n" in shown.render() + "\n"
    shown.until(actions.NOTE, actions.NOTE_BAR - 1)
    mask = shown.environment.episodes.masks[0, actions.NOTE : actions.NOTE_BAR].copy()
    mask[shown.actions[0] - actions.NOTE] = False
    shown.environment.step(actions.NOTE + int(mask.argmax()))
    shown.environment.step(actions.ANSWER)
    assert re.search(r"last action: ANSWER 0: \w+, which fails", shown.render())
    shown.environment.reset(seed=1)
    assert "last action: none yet" in shown.render()


def test_modes_that_there_are_not() -> None:
    """They are refused at once, before anything is played."""
    with pytest.raises(RunError, match="render modes ansi and rgb_array, not 'human'"):
        ResearchEnv(render_mode="human")

"""What is seen in each mode of observation, and which row each action is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict

from framework.toolkit.spaces import TokenDiscrete
from framework_research import view
from framework_research.figure import SIDE, draw
from framework_research.world import BARS, HOPS, LINES, NOTES, RESULTS

#: First row and number of rows of the actions of each verb, in the order of `framework_research.rules`.
_ABOUT = (
    (view.QUESTION, 1),  # SEARCH_QUESTION
    (view.NOTE, NOTES),  # SEARCH_NOTE
    (view.RESULT, RESULTS),  # OPEN
    (view.LINE, LINES),  # FOLLOW
    (view.DOCUMENT, 1),  # PAGE_DOWN
    (view.DOCUMENT, 1),  # PAGE_UP
    (view.MISC, 1),  # BACK
    (view.DOCUMENT, 1),  # VIEW_FIGURE
    (view.HOP, HOPS),  # FIND
    (view.LINE, LINES),  # NOTE
    (view.BAR, BARS),  # NOTE_BAR
    (view.NOTE, NOTES),  # ANSWER
    (view.NOTE, NOTES),  # DROP
)

#: Worlds [N], browsers [N] and the step limit -> what is seen, [N, ...] each.
Observe = Callable[[np.ndarray, np.ndarray, int], Any]


def action_space() -> TokenDiscrete:
    """A new one, as each has random numbers of its own."""
    tokens = [first + place for first, count in _ABOUT for place in range(count)]
    verbs = [verb for verb, (_, count) in enumerate(_ABOUT) for _ in range(count)]
    return TokenDiscrete(tokens, verbs)


def observation_space(mode: str) -> Space[Any]:
    """A new one, of one environment."""
    return _MODES[mode][0]()


def observer(mode: str) -> Observe:
    """What makes the observations of a mode, as copies."""
    return _MODES[mode][1]


def _rows_space() -> Box:
    return Box(-1.0, 1.0, (view.TOKENS, view.FEATURES), np.float32)


def _state(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> np.ndarray:
    return _rows(worlds, browsers, limit, heights=True)


def _page(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> np.ndarray:
    return _rows(worlds, browsers, limit, heights=False)


def _rows(worlds: np.ndarray, browsers: np.ndarray, limit: int, *, heights: bool) -> np.ndarray:
    rows = np.empty((len(worlds), view.TOKENS, view.FEATURES), np.float32)
    view.look(worlds, browsers, limit, heights, rows)
    return rows


def _multimodal_space() -> Dict:
    return Dict({"page": _rows_space(), "figure": Box(0, 255, (3, SIDE, SIDE), np.uint8)})


def _multimodal(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    figures = np.empty((len(worlds), 3, SIDE, SIDE), np.uint8)
    draw(worlds, browsers, figures)
    return {"page": _page(worlds, browsers, limit), "figure": figures}


_MODES: dict[str, tuple[Callable[[], Space[Any]], Observe]] = {
    "multimodal": (_multimodal_space, _multimodal),
    "page": (_rows_space, _page),
    "state": (_rows_space, _state),
}

"""What is seen in each mode of observation, and which row each action is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from framework.toolkit.spaces import TokenDiscrete
from framework_research.browser.state import NOTES, RESULTS
from framework_research.observe import tiles, view, words
from framework_research.observe.figure import SIDE, paint_figures
from framework_research.worlds.world import BARS, HOPS, LINES

#: First row and number of rows of the actions of each verb, in the order of `framework_research.browser.actions`.
_ROWS_OF_VERBS = (
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


class _Mode(NamedTuple):
    space: Callable[[], Space[Any]]
    observe: Observe
    tokens: int  # of a row, the first of which actions are about; 0 where a row is no token


def action_space(mode: str) -> Discrete:
    """A new one, as each has random numbers of its own: a `TokenDiscrete` where a mode has tokens."""
    rows = [first + place for first, count in _ROWS_OF_VERBS for place in range(count)]
    verbs = [verb for verb, (_, count) in enumerate(_ROWS_OF_VERBS) for _ in range(count)]
    tokens = _MODES[mode].tokens
    return TokenDiscrete([tokens * row for row in rows], verbs) if tokens else Discrete(len(rows))


def observation_space(mode: str) -> Space[Any]:
    """A new one, of one environment."""
    return _MODES[mode].space()


def observer(mode: str) -> Observe:
    """What makes the observations of a mode, as copies."""
    return _MODES[mode].observe


def _rows_space() -> Box:
    return Box(-1.0, 1.0, (view.TOKENS, view.FEATURES), np.float32)


def _observe_state(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> np.ndarray:
    return _observe_rows(worlds, browsers, limit, heights=True)


def _observe_page(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> np.ndarray:
    return _observe_rows(worlds, browsers, limit, heights=False)


def _observe_rows(worlds: np.ndarray, browsers: np.ndarray, limit: int, *, heights: bool) -> np.ndarray:
    rows = np.empty((len(worlds), view.TOKENS, view.FEATURES), np.float32)
    view.fill_rows(worlds, browsers, limit, heights, rows)
    return rows


def _multimodal_space() -> Dict:
    return Dict({"page": _rows_space(), "figure": _figure_space()})


def _observe_multimodal(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    return {"page": _observe_page(worlds, browsers, limit), "figure": _observe_figures(worlds, browsers)}


def _figure_space() -> Box:
    return Box(0, 255, (3, SIDE, SIDE), np.uint8)


def _observe_figures(worlds: np.ndarray, browsers: np.ndarray) -> np.ndarray:
    figures = np.empty((len(worlds), 3, SIDE, SIDE), np.uint8)
    paint_figures(worlds, browsers, figures)
    return figures


def _text_space() -> Dict:
    sizes = {"tokens": words.VOCABULARY, "types": words.KINDS}
    return Dict({name: MultiDiscrete([size] * words.LENGTH, np.int16) for name, size in sizes.items()})


def _observe_text(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    tokens, types = (np.empty((len(worlds), words.LENGTH), np.int16) for _ in range(2))
    words.fill_words(worlds, browsers, limit, tokens, types)
    return {"tokens": tokens, "types": types}


def _text_figure_space() -> Dict:
    return Dict({**_text_space(), "figure": _figure_space()})


def _observe_text_figure(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    return {**_observe_text(worlds, browsers, limit), "figure": _observe_figures(worlds, browsers)}


def _image_space() -> Box:
    return Box(0, 255, (3, tiles.HEIGHT, tiles.WIDTH), np.uint8)


def _observe_image(worlds: np.ndarray, browsers: np.ndarray, limit: int) -> np.ndarray:
    pictures = np.empty((len(worlds), 3, tiles.HEIGHT, tiles.WIDTH), np.uint8)
    tiles.paint_tiles(_observe_page(worlds, browsers, limit), _observe_figures(worlds, browsers), pictures)
    return pictures


_MODES = {
    "multimodal": _Mode(_multimodal_space, _observe_multimodal, 1),
    "page": _Mode(_rows_space, _observe_page, 1),
    "state": _Mode(_rows_space, _observe_state, 1),
    "text": _Mode(_text_space, _observe_text, words.WORDS),
    "text+figure": _Mode(_text_figure_space, _observe_text_figure, words.WORDS),
    "image": _Mode(_image_space, _observe_image, 0),
}

"""Follows an episode from step to step, to show a person at any time what there is and what was done last."""

from __future__ import annotations

import numpy as np

from framework.errors import RunError
from framework_research.render.scene import describe_action, describe_scene
from framework_research.render.text import write_scene
from framework_research.worlds.corpus import Corpus

MODES = ("ansi", "rgb_array")


class EpisodeRenderer:
    """Follows an episode: `reset`, then `before_action` and `after_action` at each step.

    Raises `RunError` for a mode that there is not, and `PluginError` where what draws pictures is not installed.
    """

    def __init__(self, mode: str, corpus: Corpus, limit: int):
        if mode not in MODES:
            raise RunError(f"the research environment has the render modes {' and '.join(MODES)}, not {mode!r}")
        if mode == "rgb_array":
            from framework_research.render.picture import draw_scene

            self._draw_scene = draw_scene
        self._mode, self._corpus, self._limit = mode, corpus, limit

    def reset(self) -> None:
        """A new episode."""
        self._action, self._score = "none yet", 0.0

    def before_action(self, world: np.void, browser: np.void, mask: np.ndarray, action: int) -> None:
        """Take down an action that is about to be taken, while what it is about can still be told."""
        described = describe_action(self._corpus, world, browser, action)
        self._action = described + ("" if mask[action] else " (illegal)")
        self._before = browser["question"], browser["succeeded"]

    def after_action(self, browser: np.void, reward: float) -> None:
        """Take down what the action was worth."""
        self._score += reward
        question, succeeded = self._before
        if browser["question"] > question:
            self._action += ", which succeeds" if browser["succeeded"] > succeeded else ", which fails"

    def render(self, world: np.void, browser: np.void) -> str | np.ndarray:
        """The text, or the picture uint8 [480, 800, 3]."""
        state = (
            f"step {browser['steps']} of {self._limit}, level {world['level']:.2f}, rewards so far {self._score:.3f}, "
            f"successes {browser['succeeded']} of {world['questions']}"
        )
        scene = describe_scene(self._corpus, world, browser, state, self._action)
        return write_scene(scene) if self._mode == "ansi" else self._draw_scene(scene)

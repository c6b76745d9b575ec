"""A difficulty level that rises and falls with the success rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from framework.interfaces import Context
from framework_curricula.config import ThresholdConfig
from framework_curricula.success import successes


class Threshold:
    """Tasks are levels: numbers from ``minimum`` to ``maximum``.

    After each episode played at the current level, once there are ``window`` of them: where the success rate of the
    latest ``window`` is greater than ``raise_above`` the level is multiplied by ``raise_factor``, where it is less than
    ``lower_below`` by ``lower_factor``, and kept within its bounds. A new level starts with an empty window. Episodes
    at any other level (easier ones for review, and those of policies that were handed their tasks before the level
    changed) tell nothing about the current one, and do not count.
    """

    def __init__(self, config: ThresholdConfig, context: Context):
        self._config = config
        self.level = config.start
        self._window: deque[float] = deque(maxlen=config.window)

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        """See `framework.interfaces.Curriculum`."""
        review = rng.random(count) < self._config.review
        tasks: list[float] = np.where(review, rng.uniform(self._config.minimum, self.level, count), self.level).tolist()
        return tasks

    def update(self, episodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """See `framework.interfaces.Curriculum`."""
        for task, success in successes(episodes, self._config.success_return):
            if task == self.level:
                self._count(success)
        metrics = {"level": self.level, "episodes_at_level": float(len(self._window))}
        return metrics | ({"success_rate": self._rate()} if self._window else {})

    def state_dict(self) -> dict[str, Any]:
        """The level, and what happened at it."""
        return {"level": self.level, "window": list(self._window)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.level = state["level"]
        self._window = deque(state["window"], maxlen=self._config.window)

    def _count(self, success: float) -> None:
        self._window.append(success)
        if len(self._window) < self._config.window:
            return
        config, rate = self._config, self._rate()
        factor = (
            config.raise_factor
            if rate > config.raise_above
            else config.lower_factor
            if rate < config.lower_below
            else 1.0
        )
        level = min(max(self.level * factor, config.minimum), config.maximum)
        if level != self.level:
            self.level = level
            self._window.clear()

    def _rate(self) -> float:
        return sum(self._window) / len(self._window)

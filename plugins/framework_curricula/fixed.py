"""Tasks with fixed probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from framework.interfaces import Context
from framework_curricula.config import FixedConfig
from framework_curricula.tasks import TaskList, proportional


class Fixed:
    """Tasks drawn with fixed probabilities."""

    def __init__(self, config: FixedConfig, context: Context):
        self._tasks = TaskList(config.all_tasks())
        self._probabilities = proportional(np.array(config.weights or (1.0,) * len(self._tasks)))
        #: A lower bound of each task's probability.
        self.minimum_probability = float(self._probabilities.min())

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        """See `framework.interfaces.Curriculum`."""
        return self._tasks.draw(count, self._probabilities, rng)

    def update(self, episodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """Nothing: episodes change no probability."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """There is none."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is none."""

"""Tasks by the variance of their success."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from framework.interfaces import Context
from framework_curricula.config import LearnabilityConfig
from framework_curricula.success import decayed, successes
from framework_curricula.tasks import TaskList, effective_tasks, proportional


class Learnability:
    """Draws tasks in proportion to ``p (1 - p)``, p being a moving average of a task's success (arXiv:2408.15099).

    That is the variance of success: 0 for tasks that always or never succeed. A share of ``exploration`` is drawn
    uniformly, so that tasks are noticed when they become solvable, or are forgotten.
    """

    def __init__(self, config: LearnabilityConfig, context: Context):
        self._config = config
        self._tasks = TaskList(config.all_tasks())
        self._rates = np.full(len(self._tasks), 0.5)
        #: A lower bound of each task's probability.
        self.minimum_probability = config.exploration / len(self._tasks)

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        """See `framework.interfaces.Curriculum`."""
        return self._tasks.draw(count, self._probabilities(), rng)

    def update(self, episodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """See `framework.interfaces.Curriculum`."""
        results = self._tasks.by_place(successes(episodes, self._config.success_return))
        for place, outcomes in results.items():
            self._rates[place] = decayed(float(self._rates[place]), outcomes, self._config.smoothing)
        return {
            "success_rate": float(self._rates.mean()),
            "effective_tasks": effective_tasks(self._probabilities()),
        }

    def state_dict(self) -> dict[str, Any]:
        """The success rate of each task."""
        return {"rates": self._rates.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._rates = self._tasks.restored(state["rates"])

    def _probabilities(self) -> np.ndarray:
        return proportional(self._rates * (1 - self._rates), self._config.exploration)

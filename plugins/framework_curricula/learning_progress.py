"""Tasks by their learning progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from framework.interfaces import Context
from framework_curricula.config import LearningProgressConfig
from framework_curricula.success import newest_share, successes
from framework_curricula.tasks import TaskList, effective_tasks, proportional


class LearningProgress:
    """Draws tasks in proportion to the distance of two moving averages of their success (arXiv:2106.14876).

    A fast and a slow average differ where success rises, and where it falls: forgotten tasks come back. A share of
    ``exploration`` is drawn uniformly; all tasks are, while nothing changes.
    """

    def __init__(self, config: LearningProgressConfig, context: Context):
        self._config = config
        self._tasks = TaskList(config.all_tasks())
        self._episodes = np.zeros(len(self._tasks), np.int64)
        self._averages = np.zeros((2, len(self._tasks)))  # fast, slow
        #: A lower bound of each task's probability.
        self.minimum_probability = config.exploration / len(self._tasks)

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        """See `framework.interfaces.Curriculum`."""
        return self._tasks.draw(count, self._probabilities(), rng)

    def update(self, episodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """See `framework.interfaces.Curriculum`."""
        results = self._tasks.by_place(successes(episodes, self._config.success_return))
        for place, outcomes in results.items():
            self._episodes[place] += len(outcomes)
            for average, smoothing in zip(self._averages, (self._config.fast, self._config.slow), strict=True):
                # A plain mean at first: an average that started anywhere else would have to make progress from there.
                share = max(newest_share(len(outcomes), smoothing), len(outcomes) / self._episodes[place])
                average[place] += share * (sum(outcomes) / len(outcomes) - average[place])
        return {
            "success_rate": float(self._averages[0].mean()),
            "progress": float(self._progress().mean()),
            "effective_tasks": effective_tasks(self._probabilities()),
        }

    def state_dict(self) -> dict[str, Any]:
        """How many episodes each task had, and its averages."""
        return {"episodes": self._episodes.tolist(), "averages": self._averages.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._episodes = self._tasks.restored(state["episodes"])
        self._averages = self._tasks.restored(state["averages"])

    def _progress(self) -> np.ndarray:
        fast, slow = self._averages
        return np.abs(fast - slow)

    def _probabilities(self) -> np.ndarray:
        return proportional(self._progress(), self._config.exploration)

"""A list of tasks: sampling, and the results of each task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from framework.errors import RunError
from framework_curricula.config import task_key


class TaskList:
    """``K`` tasks, each with its place in the list."""

    def __init__(self, tasks: Sequence[Any]):
        self._tasks = list(tasks)
        self._place = {task_key(task): place for place, task in enumerate(tasks)}

    def __len__(self) -> int:
        """K."""
        return len(self._tasks)

    def draw(self, count: int, probabilities: np.ndarray, rng: np.random.Generator) -> list[Any]:
        """``count`` independent draws with these probabilities [K]."""
        return [self._tasks[place] for place in rng.choice(len(self._tasks), size=count, p=probabilities)]

    def by_place(self, results: Iterable[tuple[Any, float]]) -> dict[int, list[float]]:
        """The results of each task, by its place; tasks that are not in the list are left out."""
        by_place: dict[int, list[float]] = {}
        for task, result in results:
            place = self._place.get(task_key(task))
            if place is not None:
                by_place.setdefault(place, []).append(result)
        return by_place

    def restored(self, saved: Any) -> np.ndarray:
        """Saved numbers, [..., K], as an array. Raises `RunError` where they are of another number of tasks."""
        array = np.array(saved)
        if array.shape[-1] != len(self):
            raise RunError(
                f"the curriculum was saved with {array.shape[-1]} tasks and has {len(self)} now: resume with the same"
            )
        return array


def proportional(weights: np.ndarray, exploration: float = 0.0) -> np.ndarray:
    """Probabilities [K] in proportion to ``weights`` [K], mixed with a share of ``exploration`` that is uniform.

    All weights zero give uniform probabilities.
    """
    total = weights.sum()
    uniform = np.full(len(weights), 1 / len(weights))
    return uniform if total == 0 else (1 - exploration) * weights / total + exploration * uniform


def effective_tasks(probabilities: np.ndarray) -> float:
    """Effective number of tasks: the exponential of the entropy, from 1 to K."""
    positive = probabilities[probabilities > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))

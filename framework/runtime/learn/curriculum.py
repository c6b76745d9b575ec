"""The curriculum of a run, which draws the tasks of each policy version and learns from finished episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.runtime.data.tasks import draw_tasks
from framework.runtime.learn.checks import numbers_by_name

if TYPE_CHECKING:
    from framework.interfaces import Curriculum


class TaskSource:
    """The tasks of a run; none where it has no curriculum.

    With each policy version go ``count`` tasks. The trajectories that are collected with that version play them, each
    in an order of its own, which depends on the seed and not on who collects or when.
    """

    def __init__(self, curriculum: Curriculum | None, seed: int, count: int):
        self._curriculum = curriculum
        self._seed = seed
        self._count = count

    def draw(self, version: int) -> dict[str, np.ndarray]:
        """``{"tasks": ...}`` for a policy version, as `draw_tasks` gives it; nothing without a curriculum."""
        if self._curriculum is None:
            return {}
        return {"tasks": draw_tasks(self._curriculum, self._count, self._seed, version)}

    def update(self, episodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Learn from finished episodes; returns metrics, named ``curriculum/...``."""
        if self._curriculum is None:
            return {}
        metrics = numbers_by_name("the curriculum's update()", self._curriculum.update(episodes))
        return {f"curriculum/{name}": value for name, value in metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        """The curriculum's state."""
        return {} if self._curriculum is None else self._curriculum.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        if self._curriculum is not None:
            self._curriculum.load_state_dict(state)

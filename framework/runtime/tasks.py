"""Tasks: drawn from the curriculum by the learner, on their way as one array of bytes, played in a random order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Sized
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.errors import RunError
from framework.runtime.metrics import numbers_by_name
from framework.runtime.seeds import tasks_seed

if TYPE_CHECKING:
    from framework.interfaces import Curriculum

#: Bytes that the tasks of one message may have.
LIMIT = 2**24


def encode_tasks(tasks: Sequence[Any]) -> np.ndarray:
    """Plain values to UTF-8 JSON, [bytes] uint8. Raises ValueError or TypeError for anything else."""
    return np.frombuffer(json.dumps(list(tasks), allow_nan=False).encode(), np.uint8)


def decode_tasks(array: np.ndarray) -> list[Any]:
    """What `encode_tasks` was given. Raises ValueError where that cannot be."""
    try:
        tasks = json.loads(array.tobytes())
    except RecursionError:
        raise ValueError("tasks that are nested too deeply") from None
    if not isinstance(tasks, list):
        raise ValueError("tasks that are not a list")
    return tasks


def in_order(tasks: Sequence[Any], seed: int) -> Iterator[Any]:
    """The tasks in a random order, over and over; None for ever where there are none."""
    order = np.random.default_rng(seed).permutation(len(tasks)).tolist()
    return cycle([tasks[index] for index in order] or [None])


class Tasks:
    """The curriculum of a run, on the learner's side; it does nothing where the run has none.

    With each policy version go ``count`` tasks. The trajectories that are collected with that version play them, each
    in an order of its own, which depends on the seed and not on who collects or when.
    """

    def __init__(self, curriculum: Curriculum | None, seed: int, count: int):
        self._curriculum = curriculum
        self._seed = seed
        self._count = count

    def draw(self, version: int) -> dict[str, np.ndarray]:
        """``{"tasks": ...}`` for a policy version, as `encode_tasks` makes it; nothing without a curriculum."""
        if self._curriculum is None:
            return {}
        tasks = self._curriculum.sample(self._count, np.random.default_rng(tasks_seed(self._seed, version)))
        if not isinstance(tasks, Sized):
            raise RunError(f"the curriculum was asked for {self._count} tasks and gave a {type(tasks).__name__}")
        if len(tasks) != self._count:
            raise RunError(f"the curriculum was asked for {self._count} tasks and gave {len(tasks)}")
        try:
            return {"tasks": encode_tasks(tasks)}
        except (TypeError, ValueError, RecursionError) as error:
            raise RunError(f"the curriculum gave a task that is no plain value: {error}") from None

    def update(self, episodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Learn from finished episodes; returns metrics, named ``curriculum/...``."""
        if self._curriculum is None:
            return {}
        learned = numbers_by_name("the curriculum's update()", self._curriculum.update(episodes))
        return {f"curriculum/{name}": value for name, value in learned.items()}

    def state_dict(self) -> dict[str, Any]:
        """The curriculum's state."""
        return {} if self._curriculum is None else self._curriculum.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        if self._curriculum is not None:
            self._curriculum.load_state_dict(state)

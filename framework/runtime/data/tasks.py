"""Tasks: drawn from a curriculum, encoded as one array of bytes on their way, played in a random order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Sized
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.errors import RunError
from framework.runtime.data.seeds import tasks_seed

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


def draw_tasks(curriculum: Curriculum, count: int, seed: int, version: int) -> np.ndarray:
    """The ``count`` tasks that go with a policy version, as `encode_tasks` makes them.

    Raises `RunError` where the curriculum gives something else.
    """
    tasks = curriculum.sample(count, np.random.default_rng(tasks_seed(seed, version)))
    if not isinstance(tasks, Sized):
        raise RunError(f"the curriculum was asked for {count} tasks and gave a {type(tasks).__name__}")
    if len(tasks) != count:
        raise RunError(f"the curriculum was asked for {count} tasks and gave {len(tasks)}")
    try:
        return encode_tasks(tasks)
    except (TypeError, ValueError, RecursionError) as error:
        raise RunError(f"the curriculum gave a task that is no plain value: {error}") from None

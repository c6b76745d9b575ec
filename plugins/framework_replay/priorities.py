"""Priorities as they come from an algorithm: checked before they are set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framework.errors import FrameworkError
from framework_replay.loops import surveyed


def checked(ids: Sequence[int], priorities: Sequence[float], next_id: int) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Ids [B] int64 and priorities [B] float64, the largest priority, and the lowest id.

    Raises `FrameworkError` where a priority is negative, NaN or infinite, or an id was never given, as it is not below
    ``next_id``.
    """
    numbers, values = np.asarray(ids, np.int64), np.asarray(priorities, np.float64)
    if numbers.shape != values.shape or numbers.ndim != 1:
        raise FrameworkError(f"{list(numbers.shape)} ids come with {list(values.shape)} priorities: give as many")
    if not len(numbers):
        return numbers, values, 0.0, next_id
    wrong, largest, lowest, highest = surveyed(numbers, values)
    if wrong >= 0:
        raise FrameworkError(f"the priority of id {numbers[wrong]} is {values[wrong]}: it must be finite and not < 0")
    if highest >= next_id:
        raise FrameworkError(f"the id {highest} was never given: the newest is {next_id - 1}")
    return numbers, values, largest, lowest

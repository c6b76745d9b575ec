"""The episodes of a shard that ended because their environments raised, until a trajectory tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from framework.plugins import describe, traceback_of
from framework.runtime.data.failures import TOLD, Failure, Failures

if TYPE_CHECKING:
    from framework.runtime.rollout.vector import Raised

#: Characters of what was raised, and of its traceback, that are told.
_REASON, _TRACEBACK = 1_000, 8_000


class FailureLog:
    """Counts the episodes of the ``environments`` (as numbered in the run) that failed, and words the first of them."""

    def __init__(self, environments: Sequence[int]):
        self._environments = environments
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._episodes: set[tuple[int, int]] = set()
        self._told: list[Failure] = []

    def note(self, failed: Mapping[int, Raised], numbers: np.ndarray) -> np.ndarray:
        """Environments have raised in the episodes ``numbers`` [N]; returns their indices.

        An episode that is played again, and fails again, has failed once.
        """
        for n, raised in failed.items():
            episode = n, int(numbers[n])
            if episode not in self._episodes and len(self._told) < TOLD:
                reason, traceback = describe(raised.error)[:_REASON], traceback_of(raised.error)[-_TRACEBACK:]
                self._told.append(Failure(self._environments[n], episode[1], raised.call, reason, traceback))
            self._episodes.add(episode)
        return np.array(list(failed), np.int64)

    def take(self) -> Failures:
        """What has failed since the last time."""
        failures = Failures(len(self._episodes), tuple(self._told))
        self.clear()
        return failures

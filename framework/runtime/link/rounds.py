"""Which of the accepted trajectories the next update learns from."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from framework.runtime.link.source import Accepted

if TYPE_CHECKING:
    from framework.pipeline.sections import Sampling


class Rounds(Protocol):
    """Accepted trajectories that wait for their update."""

    def add(self, accepted: Accepted) -> None:
        """A trajectory has come in."""

    def stale(self, update: int) -> list[Accepted]:
        """Take out what is too old for update ``update``."""

    def take(self, update: int) -> list[Accepted]:
        """Take out what update ``update`` learns from; nothing while that is not complete."""


class FixedLag:
    """Update ``first + k`` learns from trajectory ``k`` of every shard, in the order of the shards."""

    def __init__(self, shards: int, first: int = 0):
        self._shards, self._first = shards, first
        self._waiting: dict[int, dict[int, Accepted]] = {}

    def add(self, accepted: Accepted) -> None:
        """See `Rounds`."""
        trajectory = accepted.trajectory
        self._waiting.setdefault(trajectory.number, {})[trajectory.shard] = accepted

    def stale(self, update: int) -> list[Accepted]:
        """Nothing: the lag is fixed."""
        return []

    def take(self, update: int) -> list[Accepted]:
        """See `Rounds`."""
        number = update - self._first
        by_shard = self._waiting.get(number, {})
        if len(by_shard) < self._shards:
            return []
        del self._waiting[number]
        return [by_shard[shard] for shard in sorted(by_shard)]


class Free:
    """Updates learn from what comes first, as much as one trajectory of every shard, none older than ``max_lag``."""

    def __init__(self, shards: int, max_lag: int):
        self._shards = shards
        self._max_lag = max_lag
        self._waiting: deque[Accepted] = deque()

    def add(self, accepted: Accepted) -> None:
        """See `Rounds`."""
        self._waiting.append(accepted)

    def stale(self, update: int) -> list[Accepted]:
        """See `Rounds`."""
        oldest = update - self._max_lag
        stale = [accepted for accepted in self._waiting if accepted.trajectory.version < oldest]
        self._waiting = deque(accepted for accepted in self._waiting if accepted.trajectory.version >= oldest)
        return stale

    def take(self, update: int) -> list[Accepted]:
        """See `Rounds`."""
        if len(self._waiting) < self._shards:
            return []
        return [self._waiting.popleft() for _ in range(self._shards)]


def make_rounds(sampling: Sampling, first: int = 0) -> Rounds:
    """The rounds of a run, at a fixed lag, or free; ``first`` is the update before which nothing was collected."""
    shards = sampling.environments // sampling.shard
    return Free(shards, sampling.max_lag) if sampling.policy_lag == "free" else FixedLag(shards, first)

"""Which of the accepted trajectories the next update learns from."""

from __future__ import annotations

from collections import deque

from framework.runtime.link import Accepted


class FixedLag:
    """Update ``k`` learns from trajectory ``k`` of every shard, in the order of the shards."""

    def __init__(self, shards: int):
        self._shards = shards
        self._waiting: dict[int, dict[int, Accepted]] = {}

    def add(self, accepted: Accepted) -> None:
        """A trajectory has come in."""
        trajectory = accepted.trajectory
        self._waiting.setdefault(trajectory.number, {})[trajectory.shard] = accepted

    def take(self, update: int) -> tuple[list[Accepted], list[Accepted]]:
        """What update ``update`` learns from, or nothing yet; and what is thrown away, which is never anything."""
        ready = self._waiting.get(update, {})
        if len(ready) < self._shards:
            return [], []
        del self._waiting[update]
        return [ready[shard] for shard in sorted(ready)], []


class Free:
    """Updates learn from whatever comes first, as much as one trajectory of every shard; what is too old is dropped."""

    def __init__(self, shards: int, max_lag: int):
        self._shards = shards
        self._max_lag = max_lag
        self._waiting: deque[Accepted] = deque()

    def add(self, accepted: Accepted) -> None:
        """A trajectory has come in."""
        self._waiting.append(accepted)

    def take(self, update: int) -> tuple[list[Accepted], list[Accepted]]:
        """What update ``update`` learns from, or nothing yet; and what is thrown away."""
        oldest = update - self._max_lag
        dropped = [accepted for accepted in self._waiting if accepted.trajectory.version < oldest]
        self._waiting = deque(accepted for accepted in self._waiting if accepted.trajectory.version >= oldest)
        if len(self._waiting) < self._shards:
            return [], dropped
        return [self._waiting.popleft() for _ in range(self._shards)], dropped

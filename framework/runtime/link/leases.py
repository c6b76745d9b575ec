"""Which sampler collects which trajectory with which policy version: bookkeeping without sockets or clocks.

A shard is leased to one sampler at a time and stays with it. What a sampler may still deliver is known: a trajectory
is accepted once, from whoever brings it first, and what a dead sampler owed is granted to another.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from attrs import define, field, frozen

from framework.runtime.data.shard import ShardState, first_state
from framework.runtime.data.trajectory import Trajectory


@frozen
class Grant:
    """One piece of work for one sampler."""

    sampler: bytes
    shard: int
    number: int
    version: int
    state: ShardState | None  #: what to start from; None at the very beginning
    restore: bool  #: whether the sampler must go to ``state`` first


@define
class _Shard:
    state: ShardState | None = None  # after the last accepted trajectory
    sampler: bytes | None = None
    held: bool = False  # the sampler's environments stand where its last grant ends
    restored: int = -1  # the trajectory before which the sampler was told to restore
    granted: deque[tuple[int, int]] = field(factory=deque)  # (number, version) in the sampler's hands

    @property
    def accepted(self) -> int:
        """Number of the trajectory to be accepted next."""
        return self.state.number if self.state else 0

    @property
    def upcoming(self) -> int:
        """Number of the trajectory to be granted next."""
        return self.accepted + len(self.granted)


class Leases:
    """Grants trajectories and accepts each of them once.

    ``lag`` is an integer (trajectory ``f`` is collected with exactly version ``max(0, f - lag)``) or None for "as
    fast as it goes", where ``credit`` bounds the trajectories that are granted or waiting to be trained on. Shards are
    kept for samplers that are ``expected`` and not here yet, as moving one means playing its episodes again.
    """

    def __init__(
        self,
        shards: int,
        lag: int | None,
        states: Mapping[int, ShardState] | None = None,
        *,
        credit: int = 0,
        expected: int = 1,
    ):
        self._shards = [_Shard() for _ in range(shards)]
        for number, state in (states or {}).items():
            self._shards[number].state = state
        self._lag = lag
        self._credit = credit
        self._expected = expected
        self._waiting = 0
        self._samplers: list[bytes] = []
        self.version = 0  #: the newest published

    @property
    def shards(self) -> int:
        """How many shards the run has."""
        return len(self._shards)

    def join(self, sampler: bytes) -> None:
        """A sampler is ready; it gets its share of the shards, some of them from others."""
        if sampler not in self._samplers:
            self._samplers.append(sampler)

    def drop(self, sampler: bytes) -> None:
        """A sampler is gone; what it held and owed is free again."""
        if sampler in self._samplers:
            self._samplers.remove(sampler)
        for shard in self._shards:
            if shard.sampler == sampler:
                shard.sampler = None
                shard.held = False
                shard.granted.clear()

    def grant(self) -> list[Grant]:
        """Everything that may be worked on now and nobody has been told of."""
        if not self._samplers:
            return []
        self._assign()
        grants: list[Grant] = []
        while True:
            # Round by round, those that are furthest behind first: credit must not go to the same shards every time.
            order = sorted(range(len(self._shards)), key=lambda number: self._shards[number].upcoming)
            more = [grant for number in order if (grant := self._next(number)) is not None]
            if not more:
                return grants
            grants += more

    def accept(self, sampler: bytes, trajectory: Trajectory) -> ShardState | None:
        """The state after a trajectory that was owed, or None for one that was not (a duplicate, say)."""
        shard = self._shards[trajectory.shard]
        if shard.sampler != sampler or not shard.granted or shard.granted[0] != (trajectory.number, trajectory.version):
            return None
        shard.granted.popleft()
        shard.state = shard.state.advance(trajectory) if shard.state else first_state(trajectory)
        self._waiting += 1
        return shard.state

    def release(self, trajectories: int) -> None:
        """Return credit for that many consumed trajectories, trained on or thrown away."""
        self._waiting -= trajectories

    def withdraw(self, sampler: bytes, version: int) -> list[tuple[int, int]]:
        """Take back what a sampler owes with a version that it can no longer get; all of it may be granted anew.

        Returns the shard and the number of the first trajectory withdrawn of each: those that follow go too, as
        trajectories of a shard are collected in order.
        """
        withdrawn = []
        for number, shard in enumerate(self._shards):
            versions = [granted_version for _, granted_version in shard.granted]
            if shard.sampler != sampler or version not in versions:
                continue
            first = versions.index(version)
            withdrawn.append((number, shard.granted[first][0]))
            if shard.restored in [trajectory for trajectory, _ in list(shard.granted)[first:]]:
                shard.held = False  # the sampler was to restore the shard before this, and has not
            shard.granted = deque(list(shard.granted)[:first])
        return withdrawn

    def again(self, sampler: bytes) -> list[Grant]:
        """What a sampler still has to deliver, for one that may not have heard of it."""
        return [
            Grant(sampler, number, trajectory, version, shard.state, restore=trajectory == shard.restored)
            for number, shard in enumerate(self._shards)
            if shard.sampler == sampler
            for trajectory, version in shard.granted
        ]

    def _share(self) -> int:
        """How many shards one sampler should have, once everybody who is expected is here."""
        return math.ceil(len(self._shards) / max(self._expected, len(self._samplers)))

    def _held(self, sampler: bytes) -> list[_Shard]:
        return [shard for shard in self._shards if shard.sampler == sampler]

    def _assign(self) -> None:
        """Hand out free shards, and take idle ones from those who have more than their share."""
        share = self._share()
        for sampler in self._samplers:
            for shard in self._held(sampler)[share:]:
                if not shard.granted:
                    shard.sampler, shard.held = None, False
        for shard in self._shards:
            if shard.sampler is None:
                poorest = min(self._samplers, key=lambda sampler: len(self._held(sampler)))
                if len(self._held(poorest)) < share:
                    shard.sampler = poorest

    def _next(self, number: int) -> Grant | None:
        shard = self._shards[number]
        if shard.sampler is None:
            return None
        ahead = len(shard.granted)
        if ahead and len(self._held(shard.sampler)) > self._share():
            return None  # so that one of its shards falls idle and can be handed on
        trajectory = shard.upcoming
        if self._lag is not None:
            version = max(0, trajectory - self._lag)
            if ahead > self._lag or version > self.version:
                return None
        else:
            version = self.version
            out = self._waiting + sum(len(leased.granted) for leased in self._shards)
            if ahead > 1 or out >= self._credit:
                return None
        grant = Grant(shard.sampler, number, trajectory, version, shard.state, restore=not shard.held)
        if not shard.held:
            shard.held, shard.restored = True, trajectory
        shard.granted.append((trajectory, version))
        return grant

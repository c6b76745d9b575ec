"""Which sampler collects which trajectory with which policy version: bookkeeping without sockets or clocks.

A shard is leased to one sampler at a time and stays with it. What a sampler may still deliver is known: a trajectory
is accepted once, from whoever brings it first, and what a dead sampler owed is granted to another.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace

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

    ``lag`` is an integer (trajectory ``f`` is collected with exactly version ``first + max(0, f - lag)``, where
    ``first`` is the version that was there when collecting began) or None for "as fast as it goes", where ``credit``
    bounds the trajectories that are granted or waiting to be trained on. Shards are kept for samplers that are
    ``expected`` and not here yet, as moving one means playing its episodes again. States record those of at most
    ``max_replay_steps``, or all.

    What happens to one shard costs the logarithm of the number of shards, and what happens to all, which is seldom,
    their number: accepting a whole update's trajectories takes about as long a trajectory for thousands as for ten.
    """

    def __init__(
        self,
        shards: int,
        lag: int | None,
        states: Mapping[int, ShardState] | None = None,
        *,
        credit: int = 0,
        expected: int = 1,
        max_replay_steps: int | None = None,
        first: int = 0,
    ):
        self._shards = [_Shard() for _ in range(shards)]
        for number, state in (states or {}).items():
            self._shards[number].state = state
        self._lag, self._first = lag, first
        self._credit = credit
        self._expected = expected
        self._max_replay_steps = max_replay_steps
        self._out = 0  # trajectories that are granted, or accepted and not released
        self._held: dict[bytes, set[int]] = {}  # the shards of each sampler
        self._free = set(range(shards))  # the shards of none
        self._settled = True  # assigning shards anew would change nothing
        self._shared = 0  # how many shards one sampler should have, when they were assigned last
        self._due: list[tuple[int, int]] = []  # a heap of shards that may have work: those furthest behind first
        self._version = 0

    @property
    def shards(self) -> int:
        """How many shards the run has."""
        return len(self._shards)

    @property
    def version(self) -> int:
        """The newest published version."""
        return self._version

    @version.setter
    def version(self, version: int) -> None:
        self._version = version
        self._look_at_all()

    def join(self, sampler: bytes) -> None:
        """A sampler is ready; it gets its share of the shards, some of them from others."""
        if sampler not in self._held:
            self._held[sampler] = set()
            self._settled = False

    def expect(self, samplers: int) -> None:
        """Keep shards for so many samplers, also where not so many are here."""
        self._expected = samplers
        self._settled = False

    def drop(self, sampler: bytes) -> None:
        """A sampler is gone; what it held and owed is free again."""
        for number in self._held.pop(sampler, ()):
            self._take_back(number)
            self._set_free(number)
        self._settled = False

    def grant(self) -> list[Grant]:
        """Everything that may be worked on now and nobody has been told of."""
        if not self._held:
            return []
        if not self._settled:
            self._assign()
        grants = []
        while self._due and (self._lag is not None or self._out < self._credit):
            upcoming, number = heappop(self._due)
            if upcoming != self._shards[number].upcoming:
                continue  # it was granted since, and looked at anew
            grant = self._next(number)
            if grant is not None:
                grants.append(grant)
                self._look_at(number)
        return grants

    def accept(self, sampler: bytes, trajectory: Trajectory) -> ShardState | None:
        """The state after a trajectory that was owed, or None for one that was not (a duplicate, say)."""
        shard = self._shards[trajectory.shard]
        if shard.sampler != sampler or not shard.granted or shard.granted[0] != (trajectory.number, trajectory.version):
            return None
        shard.granted.popleft()
        advance = shard.state.advance if shard.state else first_state
        shard.state = advance(trajectory, self._max_replay_steps)
        if not shard.granted and len(self._held[sampler]) > self._share():
            self._settled = False  # idle, it can be handed on
        self._look_at(trajectory.shard)
        return shard.state

    def release(self, trajectories: int) -> None:
        """Return credit for that many consumed trajectories, trained on or thrown away."""
        self._out -= trajectories

    def withdraw(self, sampler: bytes, version: int) -> list[tuple[int, int]]:
        """Take back what a sampler owes with a version that it can no longer get; all of it may be granted anew.

        Returns the shard and the number of the first trajectory withdrawn of each: those that follow go too, as
        trajectories of a shard are collected in order.
        """
        withdrawn = []
        for number in sorted(self._held.get(sampler, ())):
            shard = self._shards[number]
            versions = [granted_version for _, granted_version in shard.granted]
            if version in versions:
                kept = versions.index(version)
                withdrawn.append((number, shard.granted[kept][0]))
                self._take_back(number, kept)
                self._look_at(number)
        self._settled = False
        return withdrawn

    def again(self, sampler: bytes) -> list[Grant]:
        """What a sampler still has to deliver, for one that may not have heard of it."""
        return [
            Grant(sampler, number, trajectory, version, shard.state, restore=trajectory == shard.restored)
            for number in sorted(self._held.get(sampler, ()))
            for shard in [self._shards[number]]
            for trajectory, version in shard.granted
        ]

    def _share(self) -> int:
        """How many shards one sampler should have, once everybody who is expected is here."""
        return math.ceil(len(self._shards) / max(self._expected, len(self._held)))

    def _take_back(self, number: int, kept: int = 0) -> None:
        """All but the ``kept`` first trajectories of a shard's grants are granted no more."""
        shard = self._shards[number]
        withdrawn = [shard.granted.pop() for _ in range(len(shard.granted) - kept)]
        self._out -= len(withdrawn)
        if shard.restored in [trajectory for trajectory, _ in withdrawn]:
            shard.held = False  # the sampler was to restore the shard before this, and has not

    def _set_free(self, number: int) -> None:
        self._shards[number].sampler, self._shards[number].held = None, False
        self._free.add(number)

    def _assign(self) -> None:
        """Hand out free shards, and take idle ones from those who have more than their share."""
        share = self._share()
        changed: set[int] = set()
        for held in self._held.values():
            surplus = sorted(held)[share:] if len(held) > share else ()
            idle = [number for number in surplus if not self._shards[number].granted]
            for number in idle:
                held.remove(number)
                self._set_free(number)
            changed |= held if idle else set()
        poorest = [
            (len(held), order, sampler) for order, (sampler, held) in enumerate(self._held.items()) if len(held) < share
        ]
        heapify(poorest)
        for number in sorted(self._free):
            if not poorest:
                break
            count, order, sampler = poorest[0]
            self._held[sampler].add(number)
            self._free.remove(number)
            self._shards[number].sampler = sampler
            changed.add(number)
            if count + 1 < share:
                heapreplace(poorest, (count + 1, order, sampler))
            else:
                heappop(poorest)
        self._settled = True
        if share > self._shared:
            self._look_at_all()
        else:
            for number in changed:
                self._look_at(number)
        self._shared = share

    def _look_at(self, number: int) -> None:
        heappush(self._due, (self._shards[number].upcoming, number))

    def _look_at_all(self) -> None:
        self._due = [(shard.upcoming, number) for number, shard in enumerate(self._shards)]
        heapify(self._due)

    def _next(self, number: int) -> Grant | None:
        shard = self._shards[number]
        if shard.sampler is None:
            return None
        ahead = len(shard.granted)
        if ahead and len(self._held[shard.sampler]) > self._share():
            return None  # so that one of its shards falls idle and can be handed on
        trajectory = shard.upcoming
        if self._lag is not None:
            version = self._first + max(0, trajectory - self._lag)
            if ahead > self._lag or version > self._version:
                return None
        else:
            version = self._version
            if ahead > 1:
                return None
        grant = Grant(shard.sampler, number, trajectory, version, shard.state, restore=not shard.held)
        if not shard.held:
            shard.held, shard.restored = True, trajectory
        shard.granted.append((trajectory, version))
        self._out += 1
        return grant

"""Work on grants without any environment, for the tests of the leases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import trajectories

from framework.runtime.data.shard import ShardState, first_state
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.link.leases import Grant


def collected(grant: Grant) -> Trajectory:
    """The trajectory that a grant is about."""
    return trajectory(grant.shard, grant.number, grant.version)


@cache
def trajectory(shard: int, number: int, version: int) -> Trajectory:
    """A trajectory of one step of one environment."""
    return trajectories.make(shard, shard=shard, number=number, version=version, steps=1, environments=1)


def state_before(shard: int, number: int) -> ShardState:
    """What trajectory ``number`` of a shard starts from."""
    return first_state(collected(Grant(b"", shard, number - 1, 0, None, restore=True)))


def by_sampler(grants: Iterable[Grant]) -> dict[bytes, list[int]]:
    """The shards that each sampler has work of."""
    shards: dict[bytes, set[int]] = defaultdict(set)
    for grant in grants:
        shards[grant.sampler].add(grant.shard)
    return {sampler: sorted(numbers) for sampler, numbers in shards.items()}

"""Prioritized replay buffers of other projects: ``python -m peers.replay cpprb|tianshou CAPACITY BATCH SECONDS``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from measure.processes import say
from measure.replay import ALPHA, BETA, BLOCK, EPSILON, WIDTH, block, rates

Ways = tuple[Callable[[], Any], Callable[[], Any]]


def cpprb(capacity: int, batch: int) -> Ways:
    """C++ behind Cython; takes blocks of steps."""
    from cpprb import PrioritizedReplayBuffer

    fields = {"obs": {"shape": WIDTH}, "act": {"dtype": np.int64}, "rew": {}, "next_obs": {"shape": WIDTH}, "done": {}}
    replay, rng = PrioritizedReplayBuffer(capacity, fields, alpha=ALPHA, eps=EPSILON), np.random.default_rng(0)
    steps = dict(zip(fields, block(rng).values(), strict=True))
    for _ in range(capacity // BLOCK + 1):
        replay.add(**steps)

    def step() -> None:
        sample = replay.sample(batch, beta=BETA)
        replay.update_priorities(sample["indexes"], rng.random(batch))

    return step, lambda: replay.add(**steps)


def tianshou(capacity: int, batch: int) -> Ways:
    """A sum tree compiled by Numba; takes one step at a time."""
    from tianshou.data import Batch, PrioritizedReplayBuffer

    replay, rng = PrioritizedReplayBuffer(capacity, alpha=ALPHA, beta=BETA), np.random.default_rng(0)
    steps = block(rng)
    transitions = [
        Batch(obs=o, act=a, rew=float(r), terminated=bool(t), truncated=False, obs_next=n, info={})
        for o, a, r, n, t in zip(*steps.values(), strict=True)
    ]

    def add() -> None:
        for transition in transitions:
            replay.add(transition)

    add()
    # A million steps one by one would take half a minute: the rest is written where adding would have put it.
    for name, values in (("obs", "observation"), ("obs_next", "next_observation")):
        array = replay._meta[name]
        array[:] = np.resize(steps[values], array.shape)
    replay.weight[np.arange(capacity)] = 1.0
    replay._size = capacity
    if len(replay) != capacity:
        raise RuntimeError(f"the buffer says that it holds {len(replay)} steps")

    def step() -> None:
        _, index = replay.sample(batch)
        replay.update_weight(index, rng.random(batch))

    return step, add


def main() -> None:
    """Measure one of them."""
    name, capacity, batch, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    step, add = {"cpprb": cpprb, "tianshou": tianshou}[name](capacity, batch)
    say(**rates(step, add, seconds), version=metadata.version(name))


if __name__ == "__main__":
    main()

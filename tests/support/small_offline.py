"""The algorithms of `framework_offline` on made-up spaces, with a replay buffer that is filled from the start."""

from __future__ import annotations

from typing import Any

import attrs
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_dqn import ListReplay
from small_ppo import make_context

from framework.interfaces import Context
from framework.testing.experience import Experience
from framework_offline.bc import BC
from framework_offline.config import BCConfig, IQLConfig
from framework_offline.iql import IQL

#: Every kind of actions.
ACTIONS: dict[str, Space[Any]] = {
    "discrete": Discrete(3),
    "discrete_start": Discrete(3, start=2),
    "multi_discrete": MultiDiscrete([2, 3]),
    "multi_binary": MultiBinary(3),
    "box": Box(-2, 6, (2,)),
    "unbounded": Box(-float("inf"), float("inf"), (2,)),
}


def offline_context(
    action: Space[Any] | None = None, *, masked: bool = False, batches: int = 2, **fields: Any
) -> Context:
    """What `small_ppo.make_context` makes, with a replay buffer that random play has filled."""
    context = attrs.evolve(make_context(action=action, **fields), offline_steps=1000)
    n_step = 3

    def replay() -> ListReplay:
        filled = ListReplay(n_step)
        experience = Experience(context, masked=masked)
        for _ in range(batches):
            filled.add(next(experience))
        return filled

    return attrs.evolve(context, make_replay=replay)


def bc(context: Context, **options: Any) -> BC:
    """BC with these options."""
    return BC(BCConfig(**{"minibatch_size": 16, **options}), context)


def iql(context: Context, **options: Any) -> IQL:
    """IQL with these options, and small critics."""
    return IQL(IQLConfig(**{"minibatch_size": 16, "critic_hidden": (16,), **options}), context)

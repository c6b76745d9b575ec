"""SAC, TD3 and TQC on made-up spaces, with the plain replay buffer of `small_dqn`."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import torch
from gymnasium.spaces import Box, Space
from small_dqn import dqn_context

from framework.interfaces import Context, Stream
from framework_off_policy.config import SACConfig, TD3Config, TQCConfig
from framework_off_policy.sac import SAC
from framework_off_policy.td3 import TD3
from framework_off_policy.tqc import TQC

#: Bounds that are neither equal nor symmetric, over two axes.
LOW, HIGH = (np.array([bounds], np.float32) for bounds in ((-1.0, 0.0, -3.0), (1.0, 4.0, -1.0)))
ACTIONS = Box(LOW, HIGH)
KINDS: dict[str, tuple[type, type]] = {"sac": (SAC, SACConfig), "td3": (TD3, TD3Config), "tqc": (TQC, TQCConfig)}


class Halving:
    """A bonus of 1 at first, halved by each update."""

    episodic = False

    def __init__(self) -> None:
        self.level = torch.ones(())

    def reward(self, batch):
        return self.level.expand_as(batch.rewards)

    def update(self, batch):
        assert torch.is_grad_enabled()
        self.level = self.level * 0.5
        return {"level": self.level.item()}

    def state_dict(self):
        return {"level": self.level.clone()}

    def load_state_dict(self, state):
        self.level = state["level"].clone()


def with_streams(context: Context, *streams: Stream) -> Context:
    """The context with these bonuses."""
    return attrs.evolve(context, bonuses=tuple(stream.name for stream in streams), make_streams=lambda: list(streams))


def box_context(action: Space[Any] = ACTIONS, **fields: Any) -> Context:
    """A context of real actions, with a replay buffer."""
    return dqn_context(action=action, **fields)


def make(name: str, context: Context, **options: Any) -> Any:
    """An algorithm with small networks; it learns from the first batch on."""
    algorithm, config = KINDS[name]
    small = {"learning_starts": 0, "minibatch_size": 16, "updates_per_step": 0.125}
    widths = {"actor_hidden": (16, 8), "critic_hidden": (16, 8)}
    return algorithm(config(**{**small, **widths, **options}), context)

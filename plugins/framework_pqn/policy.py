"""Epsilon-greedy policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framework.interfaces import Batch, Context, Tensors
from framework.toolkit.exploration import epsilon_greedy, greedy
from framework_pqn.config import PQNConfig
from framework_pqn.network import QNetwork


class EpsilonGreedy(nn.Module):
    """The greedy action, or with probability ``epsilon`` a random legal one.

    The learner sets ``epsilon``, which travels with the weights. Memory is the encoder's.
    """

    epsilon: Tensor  #: [] float32

    def __init__(self, config: PQNConfig, context: Context):
        super().__init__()
        self.network = QNetwork(config, context)
        self.register_buffer("epsilon", torch.tensor(config.epsilon_start))
        self._start = int(context.action_space.start)

    def initial_memory(self, count: int) -> Tensors:
        """The memory of the encoder; empty where it is stateless."""
        memory: Tensors = self.network.encoder.initial_memory(count)
        return memory

    def act(
        self,
        observation: Tensors,
        memory: Tensors,
        first: Tensor,
        generator: torch.Generator,
        *,
        action_mask: Tensor | None = None,
        deterministic: bool = False,
    ) -> tuple[Tensor, Tensors, Tensors]:
        """See `framework.interfaces.Policy.act`."""
        rows = {name: x.unsqueeze(0) for name, x in observation.items()}
        steps, memory = self.network.constant(rows, memory, first.unsqueeze(0))
        if deterministic:
            actions = greedy(steps[0], action_mask)
        else:
            actions = epsilon_greedy(steps[0], self.epsilon, generator, action_mask)
        return self._to_environment(actions), {}, memory

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """Nothing: the learner computes all Q-values itself, with weights that are at least as new."""
        return {}

    def from_environment(self, actions: Tensor) -> Tensor:
        """Actions as the environment takes them -> numbered from zero."""
        return actions - self._start if self._start else actions

    def _to_environment(self, actions: Tensor) -> Tensor:
        return actions + self._start if self._start else actions

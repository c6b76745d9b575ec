"""Epsilon-greedy policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framework.interfaces import Batch, Context, Tensors
from framework.toolkit.exploration import epsilon_greedy, greedy
from framework_dqn.config import DQNConfig
from framework_dqn.network import QNetwork
from framework_dqn.noisy import noise


class EpsilonGreedy(nn.Module):
    """The greedy action, or with probability ``epsilon`` a random legal one.

    The learner sets ``epsilon``, which travels with the weights. With ``epsilon_ladder`` each environment of a shard
    has a smaller epsilon than the one before it (Horgan et al., 2018, arXiv:1803.00933, section 4). Noisy layers draw
    noise in each step, for each environment its own; deterministic actions have none.
    """

    epsilon: Tensor  #: [] float32

    def __init__(self, config: DQNConfig, context: Context):
        super().__init__()
        self.network = QNetwork(config, context)
        self.register_buffer("epsilon", torch.tensor(config.epsilons[0]))
        self._ladder = config.epsilon_ladder
        self._start = int(context.action_space.start)

    def initial_memory(self, count: int) -> Tensors:
        """That of the network's encoder; empty where it is stateless."""
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
        layers = () if deterministic else self.network.noisy_layers
        with noise(generator, layers, rows=next(iter(observation.values())).shape[0]):
            if self.network.remembers:
                values, memory = self.network.step(observation, memory, first)
            else:
                values = self.network.values(observation)
        if deterministic:
            actions = greedy(values, action_mask)
        else:
            actions = epsilon_greedy(values, self.exploration(len(values)), generator, action_mask)
        return self._to_environment(actions), {}, memory

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """Nothing: the learner computes all Q-values itself, with newer weights."""
        return {}

    def exploration(self, count: int) -> Tensor:
        """Epsilon of each of ``count`` environments, [count]."""
        if not self._ladder or count == 1:
            return self.epsilon.expand(count)
        places = torch.arange(count, device=self.epsilon.device) / max(count - 1, 1)
        return self.epsilon ** (1.0 + self._ladder * places)

    def from_environment(self, actions: Tensor) -> Tensor:
        """Actions as the environment takes them -> numbered from zero."""
        return actions - self._start if self._start else actions

    def _to_environment(self, actions: Tensor) -> Tensor:
        return actions + self._start if self._start else actions

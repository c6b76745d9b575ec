"""Soft actor-critic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.interfaces import Context
from framework.toolkit.optimizer import FlatOptimizer
from framework_off_policy.config import SACConfig
from framework_off_policy.critic import Critics
from framework_off_policy.learner import ActorCritic
from framework_off_policy.minibatch import Minibatch
from framework_off_policy.objective import (
    ActorObjective,
    CriticObjective,
    CriticPredictions,
    DiscreteActor,
    SoftActor,
    critic_loss,
    discrete_actor_loss,
    soft_actor_loss,
    temperature_loss,
)
from framework_off_policy.policy import CategoricalActor, GaussianActor, check_box
from framework_off_policy.soft import Draws, Expectations, Soft


class SAC(ActorCritic):
    """Soft actor-critic (Haarnoja et al., 2018, arXiv:1812.05905), whose temperature is learned.

    Of a Box, actions are drawn from a squashed normal distribution; Discrete actions are summed over
    (Christodoulou, 2019, arXiv:1910.07207), with masks.
    """

    name = "sac"
    supports = ActorCritic.supports | {"action_mask"}

    def __init__(self, config: SACConfig, context: Context):
        super().__init__(config, context)
        self.soft = self.make_soft(config)
        self.temperature = Temperature(config.temperature).to(context.device)
        self._temperature_optimizer = FlatOptimizer(self.temperature, epsilon=config.adam_epsilon)

    @staticmethod
    def make_actor(config: SACConfig, context: Context) -> GaussianActor | CategoricalActor:
        """A categorical distribution for Discrete actions, else a squashed normal one."""
        if isinstance(context.action_space, spaces.Discrete):
            return CategoricalActor(config, context)
        check_box(context, "sac")
        return GaussianActor(config, context)

    @staticmethod
    def make_critics(config: SACConfig, context: Context) -> Critics:
        """One output for each Discrete action, else one for the action that they are given."""
        space = context.action_space
        if isinstance(space, spaces.Discrete):
            return Critics(config, context, actions=0, outputs=int(space.n))
        return Critics(config, context, actions=math.prod(space.shape), outputs=1)

    def make_soft(self, config: SACConfig) -> Soft:
        """How soft values are computed."""
        if isinstance(self.policy, CategoricalActor):
            return Expectations(self.policy, self.critics, config, self.generator)
        assert isinstance(self.policy, GaussianActor)
        return Draws(self.policy, self.critics, config, self.generator)

    def default_objectives(self) -> tuple[CriticObjective, ActorObjective]:
        """See `framework_off_policy.objective`."""
        return critic_loss, discrete_actor_loss if isinstance(self.policy, CategoricalActor) else soft_actor_loss

    def targets(self, minibatch: Minibatch) -> Tensor:
        """See `framework_off_policy.soft`."""
        return self.soft.targets(minibatch, self._target_critics, self.temperature())

    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Mapping[str, Tensor]]:
        """See `framework_off_policy.soft`."""
        return self.soft.predict_critics(minibatch)

    def predict_actor(self, minibatch: Minibatch) -> tuple[SoftActor | DiscreteActor, Mapping[str, Tensor]]:
        """See `framework_off_policy.soft`."""
        return self.soft.predict_actor(minibatch, self.temperature())

    def after_actor(self, actor: SoftActor | DiscreteActor, minibatch: Minibatch, factor: float) -> None:
        """Learn the temperature."""
        config = self._config
        if config.learn_temperature:
            target = self.soft.target_entropy(minibatch) if config.target_entropy is None else config.target_entropy
            with torch.enable_grad():
                loss = temperature_loss(self.temperature.log, self.soft.entropy(actor), target)
                self._temperature_optimizer.zero_grad()
                loss.backward()
            self._temperature_optimizer.step((config.temperature_learning_rate or config.learning_rate) * factor)

    def networks(self) -> dict[str, nn.Module]:
        """With the temperature."""
        return {**super().networks(), "temperature": self.temperature}

    def parts(self) -> dict[str, Any]:
        """With the temperature's optimizer."""
        return {**super().parts(), "temperature_optimizer": self._temperature_optimizer}


class Temperature(nn.Module):
    """A positive number, learned by its logarithm."""

    def __init__(self, initial: float):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        """The temperature [], constant."""
        return self.log.detach().exp()

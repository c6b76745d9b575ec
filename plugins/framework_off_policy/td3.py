"""Twin delayed deep deterministic policy gradients."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from framework.interfaces import Context
from framework.toolkit.off_policy import move_target
from framework_off_policy.config import TD3Config
from framework_off_policy.critic import Critics
from framework_off_policy.learner import ActorCritic
from framework_off_policy.minibatch import Minibatch
from framework_off_policy.objective import (
    ActorObjective,
    CriticObjective,
    CriticPredictions,
    DeterministicActor,
    critic_loss,
    deterministic_actor_loss,
)
from framework_off_policy.policy import TanhActor, check_box
from framework_off_policy.squashed import squash


class TD3(ActorCritic):
    """Twin delayed deep deterministic policy gradients (Fujimoto et al., 2018, arXiv:1802.09477).

    Actor and targets move once in ``policy_delay`` gradient steps of the critics.
    """

    name = "td3"
    policy: TanhActor

    def __init__(self, config: TD3Config, context: Context):
        super().__init__(config, context)
        self._target_actor = copy.deepcopy(self.policy).requires_grad_(False).eval()

    @staticmethod
    def make_actor(config: TD3Config, context: Context) -> TanhActor:
        """One action for each observation."""
        check_box(context, "td3")
        return TanhActor(config, context)

    @staticmethod
    def make_critics(config: TD3Config, context: Context) -> Critics:
        """One value each."""
        return Critics(config, context, actions=math.prod(context.action_space.shape or ()), outputs=1)

    def default_objectives(self) -> tuple[CriticObjective, ActorObjective]:
        """See `framework_off_policy.objective`."""
        return critic_loss, deterministic_actor_loss

    def targets(self, minibatch: Minibatch) -> Tensor:
        """``returns + discount * min Q'(s', pi'(s') + noise)``, [B]: target policy smoothing (equation 14)."""
        config: TD3Config = self._config
        actions = squash(self._target_actor(minibatch.next_rows)[0])
        noise = torch.empty_like(actions).normal_(generator=self.generator).mul_(config.target_noise)
        actions.add_(noise.clamp_(-config.target_noise_clip, config.target_noise_clip)).clamp_(-1.0, 1.0)
        values, _ = self._target_critics(minibatch.next_rows, actions, self.generator)
        return torch.addcmul(minibatch.returns, minibatch.discounts, values.squeeze(-1).amin(1))

    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Mapping[str, Tensor]]:
        """Q-values [B, E]."""
        values, losses = self.critics(minibatch.rows, minibatch.actions, self.generator)
        return CriticPredictions(values.squeeze(-1)), losses

    def predict_actor(self, minibatch: Minibatch) -> tuple[DeterministicActor, Mapping[str, Tensor]]:
        """What the first critic says of the actor's actions."""
        outputs, losses = self.policy(minibatch.rows)
        values, _ = self.critics(minibatch.rows, squash(outputs), self.generator)
        return DeterministicActor(values[:, 0, 0]), losses

    def move_targets(self, with_actor: bool) -> None:
        """Move both targets, where the actor moved."""
        if with_actor:
            super().move_targets(with_actor)
            move_target(self._target_actor, self.policy, self._config.target_tau)

    def networks(self) -> dict[str, nn.Module]:
        """With the target actor."""
        return {**super().networks(), "target_actor": self._target_actor}

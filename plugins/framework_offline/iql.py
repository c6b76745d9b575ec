"""Implicit Q-learning."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from framework.interfaces import Batch, Context, Tensors, Transitions
from framework.toolkit.networks import initialization
from framework.toolkit.off_policy import move_target
from framework.toolkit.state import copied, seeded
from framework_offline.config import IQLConfig
from framework_offline.minibatches import Minibatches, Step
from framework_offline.networks import Network
from framework_offline.objective import Objective, Predictions, Targets, iql_loss
from framework_offline.policy import DatasetPolicy


class Networks(nn.Module):
    """The policy, the value, and two critics, each with an encoder of its own."""

    def __init__(self, policy: DatasetPolicy, config: IQLConfig, context: Context):
        super().__init__()
        self.policy = policy
        with initialization(config.initialization):
            self.value = Network(context, config.head_hidden, 1)
            self.critics = Critics(policy, config, context)

    def forward(self, observations: Tensors, actions: Tensor, mask: Tensor | None) -> tuple[Predictions, list[Tensor]]:
        """What is predicted for the environment's actions [B, ...], and the auxiliary losses of all encoders."""
        log_probs, policy_losses = self.policy.log_prob(observations, actions, mask)
        values, value_losses = self.value(observations)
        q_values, critic_losses = self.critics(observations, self.policy.scale.vector(actions))
        losses = [*policy_losses.values(), *value_losses.values(), *critic_losses]
        return Predictions(log_probs, values.squeeze(-1), q_values), losses


class Critics(nn.Module):
    """Two critics: observations and actions [B, V] -> Q-values [2, B]."""

    def __init__(self, policy: DatasetPolicy, config: IQLConfig, context: Context):
        super().__init__()
        width = policy.scale.width
        self.networks = nn.ModuleList(Network(context, config.critic_hidden, 1, vectors=width) for _ in range(2))

    def forward(self, observations: Tensors, vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Q-values [2, B], and the encoders' auxiliary losses."""
        outputs, losses = zip(*(network(observations, vectors) for network in self.networks), strict=True)
        return torch.cat(outputs, -1).T, [loss for part in losses for loss in part.values()]


class IQL:
    """Implicit Q-learning (Kostrikov et al., 2022, arXiv:2110.06169), offline and then online.

    The value is an expectile of the target critics over the actions of the dataset, the critics learn from the value of
    what follows, and the policy clones the actions, each weighted by its advantage: no action outside of the dataset is
    ever asked about. Unlike in the paper, one step of the optimizer follows the gradients of all three.
    """

    supports = frozenset({"action_mask", "off_policy", "offline", "replay"})

    @staticmethod
    def make_policy(config: IQLConfig, context: Context) -> DatasetPolicy:
        """See `framework.interfaces.Algorithm.make_policy`."""
        with seeded(context.seed):
            return DatasetPolicy(config, context).to(context.device)

    def __init__(self, config: IQLConfig, context: Context):
        self._config = config
        self.policy = self.make_policy(config, context)
        with seeded(context.seed + 1):
            self._networks = Networks(self.policy, config, context).to(context.device)
        self._target = copy.deepcopy(self._networks.critics).requires_grad_(False).eval()
        self._minibatches = Minibatches(config, context, self._networks, "iql")
        self._predict = torch.compile(self._networks) if context.compile else self._networks
        self._objective: Objective = iql_loss if config.objective is None else context.find_function(config.objective)

    def update(self, batch: Batch) -> dict[str, float]:
        """Store the batch, then learn from all that is stored, as `update_offline` does."""
        self._minibatches.replay.add(batch)
        return self.update_offline(batch.steps, batch.progress)

    def update_offline(self, steps: int, progress: float) -> dict[str, float]:
        """Take ``updates_per_step`` gradient steps for each of ``steps``.

        Metrics are means over all minibatches: ``value_loss``, ``q_loss``, ``policy_loss``, ``log_prob`` (of the
        actions taken), ``advantage``, ``weight`` (of the actions, after clipping), ``value_mean``, ``q_mean`` and
        ``gradient_norm`` (before clipping).
        """
        return self._minibatches.learn(steps, progress, self._step, self._move_target)

    def state_dict(self) -> dict[str, Any]:
        """Weights, target critics, optimizer, random numbers and replay buffer."""
        return {
            "networks": copied(self._networks.state_dict()),
            "target": copied(self._target.state_dict()),
            **self._minibatches.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self._networks.load_state_dict(state["networks"])
        self._target.load_state_dict(state["target"])
        self._minibatches.load_state_dict(state)

    @torch.no_grad()
    def targets(self, transitions: Transitions, weights: Tensor) -> Targets:
        """What the networks are to come to, by the target critics and the value as they are now."""
        config = self._config
        vectors = self.policy.scale.vector(transitions.actions)
        q_values, _ = self._target(transitions.observations, vectors)
        following, _ = self._networks.value(transitions.next_observations)
        rewards = transitions.rewards * config.reward_scale
        discounts = config.gamma ** torch.arange(rewards.shape[1] + 1, dtype=torch.float32, device=rewards.device)
        bootstrap = discounts[transitions.steps].masked_fill(transitions.terminated, 0.0)
        returns = rewards @ discounts[:-1] + bootstrap * following.squeeze(-1)
        return Targets(q_values.amin(0), returns, weights)

    def _step(self, transitions: Transitions, weights: Tensor) -> Step:
        old = self.targets(transitions, weights)
        new, losses = self._predict(transitions.observations, transitions.actions, transitions.action_mask)
        return Step(self._objective(new, old, self._config), losses, new.q_values.mean(0) - old.returns)

    def _move_target(self) -> None:
        move_target(self._target, self._networks.critics, self._config.target_tau)

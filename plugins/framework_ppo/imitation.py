"""Self-imitation learning (Oh et al., 2018, arXiv:1806.05635): good things of the past are done again.

Past steps whose return R exceeded what their value V says are imitated, the more so the larger the difference:
``L = mean(w * (-log pi(a|s) * (R - V)+ + beta * ((R - V)+)^2 / 2))`` (equations 1 to 3), with (R - V)+ as priority and
w the importance weights of the replay buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from attrs import evolve
from torch import Tensor

from framework.interfaces import Batch, Replay
from framework.toolkit.returns import discounted_returns
from framework_ppo.config import PPOConfig
from framework_ppo.minibatches import Rows
from framework_ppo.policy import ActorCritic, Evaluation

#: Evaluates rows; gives also what sends gradients by parameters and values back.
Forward = Callable[[Rows], tuple[Evaluation, Callable[[Tensor, Tensor], None]]]


def imitation_gradient(
    log_prob: Tensor, gaps: Tensor, weights: Tensor, coefficient: float, value_coefficient: float
) -> tuple[Tensor, Tensor]:
    """Gradients of ``coefficient * L`` by ``log_prob`` [B] and by the values [B]; ``gaps`` [B] is (R - V)+.

    The policy's part of the loss has no gradient by the values.
    """
    d_log_prob = gaps * weights * (-coefficient / len(log_prob))
    return d_log_prob, value_coefficient * d_log_prob


class SelfImitation:
    """The past that is worth repeating, in the pipeline's replay buffer."""

    def __init__(self, config: PPOConfig, replay: Replay):
        self._config, self._replay = config, replay

    def add(self, batch: Batch, rewards: Tensor, values: Tensor, final_values: Tensor) -> None:
        """Store the batch with the discounted return of each step.

        Where an episode goes on after the batch, or was cut short, ``values`` [T + 1, N] and ``final_values`` [K] stand
        for the rest.
        """
        episode = (batch.terminated, batch.truncated, batch.final_index, final_values)
        returns = discounted_returns(rewards, values, *episode, gamma=self._config.gamma)
        ids = self._replay.add(evolve(batch, extras={"return": returns}))
        gaps = (returns - values[:-1]).clamp(min=0.0)[batch.valid]
        self._replay.update_priorities(ids[batch.valid.cpu().numpy()], gaps.cpu().numpy())

    def learn(
        self, policy: ActorCritic, forward: Forward, step: Callable[[], Tensor], rng: np.random.Generator
    ) -> dict[str, float]:
        """Some steps of the optimizer, which ``step`` takes; returns metrics named ``imitation/...``."""
        seen = []
        for _ in range(self._config.sil_updates):
            transitions, ids, weights = self._replay.sample(self._config.sil_batch_size, rng)
            evaluation, pullback = forward(Rows(transitions.observations, transitions.action_mask))
            actions = policy.from_environment(transitions.actions)
            log_prob, _, distribution_pullback = policy.distribution.vjp(evaluation.parameters, actions)
            own = evaluation.values.view(len(ids), -1)
            gaps = (transitions.extras["return"] - own[:, 0]).clamp_(min=0.0)
            d_log_prob, d_own = imitation_gradient(
                log_prob,
                gaps,
                torch.from_numpy(weights).to(gaps.device),
                self._config.sil_coefficient,
                self._config.sil_value_coefficient,
            )
            d_values = torch.zeros_like(own)  # bonuses' values are no part of it
            d_values[:, 0] = d_own
            pullback(distribution_pullback(d_log_prob, 0.0), d_values.view_as(evaluation.values))
            step()
            self._replay.update_priorities(ids, gaps.cpu().numpy())
            seen.append(gaps)
        everything = torch.cat(seen)
        return {
            "imitation/gap": everything.mean().item(),
            "imitation/share": (everything > 0).to(torch.float32).mean().item(),
            "imitation/stored": float(len(self._replay)),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that is stored."""
        return self._replay.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._replay.load_state_dict(state)

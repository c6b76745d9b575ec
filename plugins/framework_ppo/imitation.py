"""Self-imitation learning (Oh et al., 2018, arXiv:1806.05635)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from attrs import evolve
from torch import Tensor

from framework.interfaces import Batch, Replay
from framework.toolkit.returns import discounted_returns
from framework_ppo.config import PPOConfig
from framework_ppo.minibatches import Rows
from framework_ppo.objective import Loss, Predictions
from framework_ppo.policy import ActorCritic, recorded


class Imitated(NamedTuple):
    """Targets of B past steps, constant."""

    returns: Tensor  #: [B] discounted returns, R
    weights: Tensor  #: [B] importance weights of the replay buffer, w


def imitation_loss(new: Predictions, past: Imitated, options: PPOConfig) -> Loss:
    """Past steps whose return exceeded their value are imitated, the more so the larger the gap (equations 1 to 3).

    ``mean(w * (-log pi(a|s) * (R - V)+ + beta * ((R - V)+)^2 / 2))``, where the first gap is constant.
    """
    gaps = value_gaps(new, past)
    policy_loss = -new.log_prob * gaps.detach()
    value_loss = 0.5 * gaps.square()
    total = (past.weights * (policy_loss + options.sil_value_coefficient * value_loss)).mean()
    return Loss(options.sil_coefficient * total, {"gap": gaps})


def value_gaps(new: Predictions, past: Imitated) -> Tensor:
    """(R - V)+ [B] of the environment's reward stream, which is the first."""
    return (past.returns - new.values.view(len(past.returns), -1)[:, 0]).clamp(min=0.0)


class SelfImitation:
    """Self-imitation of past steps in the pipeline's replay buffer."""

    def __init__(self, config: PPOConfig, replay: Replay):
        self._config, self._replay = config, replay

    def add(self, batch: Batch, rewards: Tensor, values: Tensor, final_values: Tensor) -> None:
        """Store the batch with the discounted return of each step; gaps are the priorities.

        Where an episode goes on after the batch, or was truncated, its return is bootstrapped from ``values``
        [T + 1, N] or ``final_values`` [K].
        """
        episode = (batch.terminated, batch.truncated, batch.final_index, final_values)
        returns = discounted_returns(rewards, values, *episode, gamma=self._config.gamma)
        ids = self._replay.add(evolve(batch, extras={"return": returns, **recorded(batch.extras)}))
        gaps = (returns - values[:-1]).clamp(min=0.0)[batch.valid]
        self._replay.update_priorities(ids[batch.valid.cpu().numpy()], gaps.cpu().numpy())

    def learn(
        self, policy: ActorCritic, backward: Callable[..., Any], step: Callable[[], Tensor], rng: np.random.Generator
    ) -> dict[str, float]:
        """``sil_updates`` gradient steps, which ``step`` takes; returns metrics named ``imitation/...``."""
        minibatch_gaps = []
        for _ in range(self._config.sil_updates):
            transitions, ids, weights = self._replay.sample(self._config.sil_batch_size, rng)
            returns = transitions.extras["return"]
            past = Imitated(returns, torch.from_numpy(weights).to(returns.device))
            inputs = Rows(transitions.observations, transitions.action_mask)
            actions = policy.taken(transitions.actions, transitions.extras)
            new, _ = backward(imitation_loss, inputs, actions, past, self._config)
            step()
            gaps = value_gaps(new, past)
            self._replay.update_priorities(ids, gaps.cpu().numpy())
            minibatch_gaps.append(gaps)
        gaps = torch.cat(minibatch_gaps)
        return {
            "imitation/gap": gaps.mean().item(),
            "imitation/share": (gaps > 0).to(torch.float32).mean().item(),
            "imitation/stored": float(len(self._replay)),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that is stored."""
        return self._replay.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._replay.load_state_dict(state)

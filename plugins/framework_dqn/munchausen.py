"""Munchausen DQN: the log-policy is added to the reward (Vieillard et al., 2020, arXiv:2007.14430)."""

from __future__ import annotations

import torch
from torch import Tensor

from framework.toolkit.distributions import mask_logits
from framework_dqn.config import DQNConfig


def log_policy(values: Tensor, action_mask: Tensor | None, temperature: float) -> Tensor:
    """Log-probabilities of the softmax policy of Q-values, ``log softmax(Q / temperature)``, [B, A]."""
    logits = values / temperature
    return torch.log_softmax(logits if action_mask is None else mask_logits(logits, action_mask), -1)


def soft_policy(values: Tensor, action_mask: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
    """The softmax policy and its entropies ``-temperature * log pi``, [B, A] each.

    Averaged over the policy, the latter are its entropy; those of illegal actions are 0.
    """
    log_probs = log_policy(values, action_mask, temperature)
    entropies = -temperature * log_probs
    return log_probs.exp(), entropies if action_mask is None else entropies.masked_fill(~action_mask, 0.0)


def munchausen_rewards(
    rewards: Tensor, values: Tensor, actions: Tensor, action_mask: Tensor | None, options: DQNConfig
) -> Tensor:
    """Rewards [B, n] with ``alpha * clip(temperature * log pi(a|s), clip, 0)`` added to the first (equation 2).

    ``values`` [B, A] are the target network's, of the observations in which ``actions`` [B] were taken.
    """
    log_probs = log_policy(values, action_mask, options.munchausen_temperature)
    taken = log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    bonus = (options.munchausen_temperature * taken).clamp(options.munchausen_clip, 0.0)
    return torch.cat([(rewards[:, 0] + options.munchausen_alpha * bonus).unsqueeze(-1), rewards[:, 1:]], -1)

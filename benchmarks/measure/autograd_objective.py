"""The objective of PPO under another name: its gradient is nobody's closed form, so that autograd computes it."""

from __future__ import annotations

from framework_ppo.config import PPOConfig
from framework_ppo.objective import Loss, Predictions, Targets, ppo_loss


def loss(new: Predictions, old: Targets, clip_range: float, options: PPOConfig) -> Loss:
    """See `framework_ppo.objective.ppo_loss`."""
    return ppo_loss(new, old, clip_range, options)

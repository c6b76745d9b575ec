"""TD targets of DQN."""

from __future__ import annotations

import torch
from torch import Tensor


def td_targets(rewards: Tensor, steps: Tensor, terminated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """N-step TD targets [B]: ``sum_k gamma^k * r_k + gamma^steps * (1 - terminated) * V(s')``.

    ``rewards`` [B, n] are 0 from ``steps`` [B] on; ``next_values`` [B] are those of the observations after them.
    """
    discounts = gamma ** torch.arange(rewards.shape[1] + 1, dtype=torch.float32, device=rewards.device)
    bootstrap = discounts[steps].masked_fill_(terminated, 0.0)
    return torch.addcmul(rewards @ discounts[:-1], bootstrap, next_values)

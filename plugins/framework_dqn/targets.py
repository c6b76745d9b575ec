"""TD targets of DQN."""

from __future__ import annotations

import torch
from torch import Tensor

from framework.toolkit.off_policy import n_step_returns


def td_targets(rewards: Tensor, steps: Tensor, terminated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """N-step TD targets [B]: ``sum_k gamma^k * r_k + gamma^steps * (1 - terminated) * V(s')``.

    ``rewards`` [B, n] are 0 from ``steps`` [B] on; ``next_values`` [B] are those of the observations after them, or
    [B, J] returns that may follow, with as many targets.
    """
    returns, discounts = n_step_returns(rewards, steps, terminated, gamma)
    if next_values.ndim > 1:
        returns, discounts = returns.unsqueeze(-1), discounts.unsqueeze(-1)
    return torch.addcmul(returns, discounts, next_values)


#: Slope that `rescaled` keeps for large returns, so that it has an inverse.
_SLOPE = 1e-3


def rescaled(x: Tensor) -> Tensor:
    """``h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x`` (Pohlen et al., 2018, arXiv:1805.11593, section 3.2)."""
    return x.sign() * ((x.abs() + 1.0).sqrt() - 1.0) + _SLOPE * x


def returns_of(values: Tensor) -> Tensor:
    """The inverse of `rescaled`; in a form that does not lose digits to cancellation."""
    sizes = values.abs() + 1.0 + _SLOPE
    root = 2.0 * sizes / ((1.0 + 4.0 * _SLOPE * sizes).sqrt() + 1.0)
    return values.sign() * (root.square() - 1.0)

"""Quantile regression of return distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def quantile_huber_loss(quantiles: Tensor, samples: Tensor, delta: float = 1.0) -> Tensor:
    """Quantile Huber loss of each quantile, [B, N]: its mean over the samples.

    ``|tau_i - 1{u < 0}| * huber(u)`` with ``u = sample_j - quantile_i`` and the midpoints ``tau_i = (i + 1/2) / N``
    (Dabney et al., 2018, arXiv:1710.10044, equation 10); QR-DQN sums it over the quantiles.

    Args:
        quantiles: [B, N] predictions, which need not be in order.
        samples: [B, M] equally probable returns, constant.
        delta: smaller errors count squared, larger ones linearly.
    """
    pairs = (*quantiles.shape, samples.shape[-1])  # [B, N, M]
    predictions, targets = quantiles.unsqueeze(-1).expand(pairs), samples.unsqueeze(-2).expand(pairs)
    levels = quantile_levels(quantiles)
    sides = torch.where(targets < predictions, 1.0 - levels, levels)
    return (sides * functional.huber_loss(predictions, targets, reduction="none", delta=delta)).mean(-1)


def quantile_huber_gradient(quantiles: Tensor, samples: Tensor, delta: float = 1.0) -> Tensor:
    """Gradient of the sum of `quantile_huber_loss` with respect to the quantiles, [B, N]."""
    errors = samples.unsqueeze(-2) - quantiles.unsqueeze(-1)
    levels = quantile_levels(quantiles).squeeze(-1)
    above, below = errors.clamp(0.0, delta).sum(-1), errors.clamp_(-delta, 0.0).sum(-1)
    return (levels * above + (1.0 - levels) * below) / -samples.shape[-1]


def quantile_levels(quantiles: Tensor) -> Tensor:
    """The midpoints ``(i + 1/2) / N`` of so many quantiles, [N, 1]."""
    count = quantiles.shape[-1]
    return ((torch.arange(count, dtype=quantiles.dtype, device=quantiles.device) + 0.5) / count).unsqueeze(-1)

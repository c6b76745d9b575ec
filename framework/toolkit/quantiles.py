"""Quantile regression of return distributions."""

from __future__ import annotations

import torch
from torch import Tensor


def quantile_huber_loss(quantiles: Tensor, samples: Tensor, delta: float = 1.0) -> Tensor:
    """Quantile Huber loss of each quantile, [B, N]: its mean over the samples.

    ``|tau_i - 1{u < 0}| * huber(u)`` with ``u = sample_j - quantile_i`` and the midpoints ``tau_i = (i + 1/2) / N``
    (Dabney et al., 2018, arXiv:1710.10044, equation 10); QR-DQN sums it over the quantiles.

    Args:
        quantiles: [B, N] predictions, which need not be in order.
        samples: [B, M] equally probable returns, constant.
        delta: smaller errors count squared, larger ones linearly.
    """
    count = quantiles.shape[-1]
    levels = (torch.arange(count, dtype=quantiles.dtype, device=quantiles.device) + 0.5) / count
    errors = samples.unsqueeze(-2) - quantiles.unsqueeze(-1)  # [B, N, M]
    sizes = errors.abs()
    within = sizes.clamp(max=delta)
    sides = (levels.unsqueeze(-1) - (errors < 0).to(levels.dtype)).abs()
    return (sides * within * (sizes - 0.5 * within)).mean(-1)

"""Metrics of an update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from framework_ppo.config import PPOConfig
from framework_ppo.objective import Objective, Predictions, Targets

#: Standard deviations below this share of the largest number are rounding of float32.
_ROUNDING = 1e-6


def term_means(
    objective: Objective, minibatches: Sequence[tuple[Predictions, Targets]], clip_range: float, options: PPOConfig
) -> dict[str, Tensor]:
    """Means of the objective's terms over all steps of all minibatches, by name."""
    predictions, targets = zip(*minibatches, strict=True)
    new = Predictions(*map(torch.cat, zip(*predictions, strict=True)))
    old = Targets(*map(torch.cat, zip(*targets, strict=True)))
    return {name: term.mean() for name, term in objective(new, old, clip_range, options).terms.items()}


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns), and 0 where all returns are equal but for rounding."""
    variance = returns.var(correction=0)
    varies = variance.sqrt() > _ROUNDING * returns.abs().max()
    return torch.where(varies, 1.0 - (returns - values).var(correction=0) / variance, torch.zeros_like(variance))

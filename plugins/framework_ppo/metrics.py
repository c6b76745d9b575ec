"""Metrics of an update."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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


def mean_advantages(advantages: Tensor, first: Tensor, valid: Tensor, final_index: Tensor) -> np.ndarray:
    """Mean absolute advantage [K] float64 of each episode that ended, over its steps in the batch.

    It is the average magnitude of the generalised advantage, by which Jiang et al. (2021, arXiv:2010.03934, equation 2)
    rank levels. ``advantages`` [T, N]; the others as in `framework.interfaces.Batch`.
    """
    steps, count = advantages.shape
    last, column = final_index // count, final_index % count
    numbers = torch.arange(steps, device=advantages.device).unsqueeze(1)
    started = torch.where(first[:-1], numbers, 0).cummax(0).values[last, column]
    sizes = torch.where(valid, advantages.abs().to(torch.float64), 0.0)
    totals = [_differences(x, started, last + 1, column) for x in (sizes, valid.to(torch.float64))]
    scores: np.ndarray = (totals[0] / totals[1]).cpu().numpy()
    return scores


def _differences(x: Tensor, start: Tensor, end: Tensor, column: Tensor) -> Tensor:
    """Sums [K] of ``x`` [T, N] from ``start`` until before ``end``."""
    sums = torch.cat((torch.zeros_like(x[:1]), x.cumsum(0)))
    return sums[end, column] - sums[start, column]

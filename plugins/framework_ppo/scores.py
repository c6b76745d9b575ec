"""How much there was to learn from an episode, as curricula ask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mean_advantages(advantages: Tensor, first: Tensor, valid: Tensor, final_index: Tensor) -> np.ndarray:
    """The mean absolute advantage of each episode that ended, [K] float64, over those of its steps in the batch.

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

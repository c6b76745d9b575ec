"""Epsilon-greedy exploration, of policies that have a value for each action."""

from __future__ import annotations

import torch
from torch import Tensor

from framework.toolkit.distributions import mask_logits


def greedy(values: Tensor, action_mask: Tensor | None = None) -> Tensor:
    """The legal action of the greatest value, [N] int64; ``values`` and ``action_mask`` are [N, A]."""
    return (values if action_mask is None else mask_logits(values, action_mask)).argmax(-1)


def epsilon_greedy(
    values: Tensor, epsilon: Tensor, generator: torch.Generator, action_mask: Tensor | None = None
) -> Tensor:
    """As `greedy`, or with probability ``epsilon``, [] or [N], any legal action; all randomness from ``generator``."""
    count, actions = values.shape
    draws = torch.rand(count, actions + 1, generator=generator, device=values.device)
    chance, scores = draws[:, 0], draws[:, 1:]
    if action_mask is not None:
        scores = scores.masked_fill(~action_mask, -1.0)
    return torch.where(chance < epsilon, scores.argmax(-1), greedy(values, action_mask))


def annealed(start: float, end: float, fraction: float, progress: float) -> float:
    """Epsilon at ``progress`` in [0, 1]: from ``start`` in a line to ``end``, over ``fraction`` of the run."""
    return end + (start - end) * max(1.0 - progress / fraction, 0.0) if fraction else end

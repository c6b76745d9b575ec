"""Contrastive alignment of two modalities."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.networks import orthogonal

#: The largest logarithm of the inverse temperature, as in the paper.
_LARGEST = math.log(100.0)


def contrastive_loss(u: Tensor, v: Tensor, log_scale: Tensor, positives: Tensor | None = None) -> Tensor:
    """The symmetric loss of CLIP (Radford et al., 2021, arXiv:2103.00020, figure 3): [B, D] twice -> [].

    ``u`` and ``v`` are normalized to length 1. The positive pairs are the rows of equal index, or those for which
    ``positives`` [B, B] is true, which must be symmetric. ``log_scale`` [] is the logarithm of the inverse temperature,
    clipped at ln 100. The loss is 0 for no rows, and ln B where all embeddings are equal.
    """
    if not len(u):
        return u.sum() + v.sum()
    # Clipped in value alone: the gradient still leads back from beyond the bound.
    log_scale = log_scale - (log_scale - _LARGEST).clamp(min=0.0).detach()
    logits = log_scale.exp() * functional.normalize(u, dim=-1) @ functional.normalize(v, dim=-1).T
    targets = torch.eye(len(u), device=u.device) if positives is None else positives.to(torch.float32)
    targets = targets / targets.sum(1, keepdim=True)
    return 0.5 * (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets))


def same_rows(rows: Tensor) -> Tensor:
    """[B, ...] -> [B, B] bool: which rows are equal."""
    numbers = torch.unique(rows.flatten(1), dim=0, return_inverse=True)[1]
    return numbers.unsqueeze(0) == numbers.unsqueeze(1)


class Alignment(nn.Module):
    """Projections of two modalities to a common space, and the temperature of their similarities.

    ``log_scale`` starts at ln(1 / 0.07); being no matrix, it is excluded from weight decay.
    """

    def __init__(self, width: int):
        super().__init__()
        self.left, self.right = (orthogonal(nn.Linear(width, width, bias=False), 1.0) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.0 / 0.07)))

    def forward(self, left: Tensor, right: Tensor, positives: Tensor | None = None) -> Tensor:
        """[B, width] twice -> the loss, [] float32; see `contrastive_loss`."""
        u, v = self.left(left), self.right(right)
        with torch.autocast(u.device.type, enabled=False):
            return contrastive_loss(u.to(torch.float32), v.to(torch.float32), self.log_scale, positives)

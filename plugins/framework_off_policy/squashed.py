"""Normal variables squashed into [-1, 1], ``a = tanh(u)``: Haarnoja et al. (2018, arXiv:1801.01290), appendix C."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from framework.toolkit.distributions import LOG_2PI


def squash(raw: Tensor) -> Tensor:
    """``tanh(u)``."""
    return torch.tanh(raw)


def log_prob(raw: Tensor, noise: Tensor, log_std: Tensor) -> Tensor:
    """Log-density [B] of ``tanh(u)``, where ``u = mean + noise * std`` and all are [B, k].

    ``sum(log N(noise) - log_std - log(1 - tanh(u)^2))``; the last term is ``2 * (log 2 - u - softplus(-2u))``, which
    is exact for any u, where ``1 - tanh(u)^2`` would round to 0.
    """
    log_slope = 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))
    return -(0.5 * noise.square() + 0.5 * LOG_2PI + log_std + log_slope).sum(-1)

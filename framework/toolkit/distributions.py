"""Action distributions as functions of one tensor of parameters, ``[..., size]``.

A distribution is built once from the action space, and every method takes the parameters, outputs of a network's head
(float32). `log_prob` and `entropy` are plain differentiable formulas. Actions are numbered from zero; a Discrete
space's ``start`` is added by the caller.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional

from framework.toolkit.spaces import check_action_space

LOG_2PI = math.log(2 * math.pi)


class Distribution(Protocol):
    """An action distribution. ``B`` stands for any leading dimensions."""

    size: int  #: width of the parameters

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """One action for each row, all randomness from ``generator``."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable action of each row."""

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-probability (density, for real actions) of each row's action, [B]."""

    def entropy(self, parameters: Tensor) -> Tensor:
        """Entropy in nats, [B]."""

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """The parameters by their usual names, for whoever samples elsewhere: ``logits``, or ``mean`` and ``std``."""


def distribution_for(space: spaces.Space[Any]) -> Distribution:
    """The distribution of an action space; raises `FrameworkError` where there is none."""
    check_action_space(space)
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategorical(tuple(int(n) for n in space.nvec.reshape(-1)))
    if isinstance(space, spaces.MultiBinary):
        return Bernoulli(math.prod(space.shape))
    return DiagonalGaussian(math.prod(space.shape or ()))


def mask_logits(logits: Tensor, legal: Tensor) -> Tensor:
    """Mask the logits of illegal actions by the dtype's minimum: their probability is exactly 0.

    ``legal`` is boolean, of the logits' shape. Where no action is legal, all become equally probable.
    """
    return logits.masked_fill(~legal, torch.finfo(logits.dtype).min)


class Categorical:
    """One of ``size`` actions; parameters are logits, actions [B] int64."""

    def __init__(self, size: int):
        self.size = size

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """``argmax(p / e)`` with exponential variates e, which is the Gumbel-max trick."""
        clocks = torch.empty_like(parameters).exponential_(generator=generator)
        return torch.softmax(parameters, -1).div_(clocks).argmax(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        """The first of the most probable actions."""
        return parameters.argmax(-1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-probability of each row's action, [B]."""
        return torch.log_softmax(parameters, -1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Entropy in nats, [B]; impossible actions add nothing."""
        log_probs = torch.log_softmax(parameters, -1)
        return -(log_probs.exp() * log_probs).sum(-1)

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """``logits`` [B, size]: the lowest float32 where an action is illegal."""
        return {"logits": parameters}


class MultiCategorical:
    """Independent categorical actions; parameters are their concatenated logits, actions [B, k] int64."""

    def __init__(self, sizes: tuple[int, ...]):
        self.sizes, self.size = list(sizes), sum(sizes)
        self.parts = [Categorical(size) for size in sizes]

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """One choice from each part, [B, k]."""
        logits = torch.split(parameters, self.sizes, -1)
        return torch.stack([part.sample(z, generator) for part, z in zip(self.parts, logits, strict=True)], -1)

    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable choice of each part, [B, k]."""
        return torch.stack([z.argmax(-1) for z in torch.split(parameters, self.sizes, -1)], -1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """The sum over the parts, [B]."""
        rows = zip(self.parts, torch.split(parameters, self.sizes, -1), actions.unbind(-1), strict=True)
        return torch.stack([part.log_prob(z, a) for part, z, a in rows]).sum(0)

    def entropy(self, parameters: Tensor) -> Tensor:
        """The sum over the parts, [B]."""
        rows = zip(self.parts, torch.split(parameters, self.sizes, -1), strict=True)
        return torch.stack([part.entropy(z) for part, z in rows]).sum(0)

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """``logits`` [B, size], those of one part after those of the other."""
        return {"logits": parameters}


class Bernoulli:
    """``size`` independent binary actions; parameters are logits, actions [B, size] int8."""

    def __init__(self, size: int):
        self.size = size

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Each is 1 with probability sigmoid(parameter)."""
        uniform = torch.empty_like(parameters).uniform_(generator=generator)
        return (uniform < torch.sigmoid(parameters)).to(torch.int8)

    def mode(self, parameters: Tensor) -> Tensor:
        """1 where that is the more probable."""
        return (parameters > 0).to(torch.int8)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """The sum over the actions, [B]."""
        return (actions * parameters - functional.softplus(parameters)).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """The sum over the actions, [B]."""
        return (functional.softplus(parameters) - torch.sigmoid(parameters) * parameters).sum(-1)

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """``logits`` [B, size]: each action is 1 with probability sigmoid(logit)."""
        return {"logits": parameters}


class DiagonalGaussian:
    """Gaussian with diagonal covariance; parameters are the means, then the log standard deviations.

    Actions are [B, dimensions] float32, unbounded: they are clipped where the environment is stepped.
    """

    def __init__(self, dimensions: int):
        self.dimensions, self.size = dimensions, 2 * dimensions

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Mean plus scaled normal noise."""
        mean, log_std = torch.split(parameters, self.dimensions, -1)
        return torch.addcmul(mean, torch.empty_like(mean).normal_(generator=generator), log_std.exp())

    def mode(self, parameters: Tensor) -> Tensor:
        """The mean."""
        return parameters[..., : self.dimensions]

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-density, [B]."""
        mean, log_std = torch.split(parameters, self.dimensions, -1)
        error = (actions - mean) * torch.exp(-log_std)
        return -(0.5 * error.square() + log_std + 0.5 * LOG_2PI).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Differential entropy in nats, [B]."""
        return (parameters[..., self.dimensions :] + (0.5 + 0.5 * LOG_2PI)).sum(-1)

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """``mean`` and ``std``, [B, dimensions] each."""
        mean, log_std = torch.split(parameters, self.dimensions, -1)
        return {"mean": mean, "std": log_std.exp()}

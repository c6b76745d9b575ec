"""Action distributions as functions of one tensor of parameters, ``[..., size]``.

No object is made per batch: a distribution is built once from the action space, and every method takes the
parameters that a network's head gave (float32). `log_prob` and `entropy` are plain differentiable formulas; `vjp`
gives the same two values and their gradient in closed form, which is what a training loop calls.
Actions are numbered from zero; a Discrete space's ``start`` is added by whoever knows the space.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional

from framework.toolkit.spaces import check_action_space

#: From d loss / d log_prob [B] and d loss / d entropy (one number for all rows) to d loss / d parameters [B, size].
Pullback = Callable[[Tensor, float], Tensor]

_LOG_2PI = math.log(2 * math.pi)


class Distribution(Protocol):
    """What every distribution offers. ``B`` stands for any leading dimensions, except in `vjp` where it is one."""

    size: int  #: width of the parameters

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """One action for each row, all randomness from ``generator``."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable action of each row."""

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-probability (density, for real actions) of each row's action, [B]."""

    def entropy(self, parameters: Tensor) -> Tensor:
        """Entropy in nats, [B]."""

    def vjp(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """`log_prob`, `entropy`, and the function that pulls their gradients back to the parameters.

        Call without gradient recording.
        """


def distribution_for(space: spaces.Space[Any]) -> Distribution:
    """The distribution for an action space; `FrameworkError` where there is none."""
    check_action_space(space)
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategorical(tuple(int(n) for n in space.nvec.reshape(-1)))
    if isinstance(space, spaces.MultiBinary):
        return Bernoulli(math.prod(space.shape))
    return DiagonalGaussian(math.prod(space.shape or ()))


def mask_logits(logits: Tensor, legal: Tensor) -> Tensor:
    """Logits with those of illegal actions at the dtype's minimum: their probability is exactly 0.

    ``legal`` is boolean, of the logits' shape. Where no action is legal, all become equally probable.
    """
    return logits.masked_fill(~legal, torch.finfo(logits.dtype).min)


class Categorical:
    """One of ``size`` actions; parameters are logits, actions [B] int64."""

    def __init__(self, size: int):
        self.size = size

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """The winner of a race of exponential clocks, whose rates are the probabilities."""
        clocks = torch.empty_like(parameters).exponential_(generator=generator)
        return torch.softmax(parameters, -1).div_(clocks).argmax(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        """The first of the most probable actions."""
        return parameters.argmax(-1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Of each row's action, [B]."""
        return torch.log_softmax(parameters, -1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """In nats, [B]; impossible actions add nothing."""
        log_probs = torch.log_softmax(parameters, -1)
        return -(log_probs.exp() * log_probs).sum(-1)

    def vjp(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """With p = softmax(z): d log p[a] / dz = onehot(a) - p, and dH / dz = -p * (log p + H)."""
        log_probs = torch.log_softmax(parameters, -1)
        probs = log_probs.exp()
        index = actions.unsqueeze(-1)
        log_prob = log_probs.gather(-1, index).squeeze(-1)
        entropy = torch.linalg.vecdot(probs, log_probs).neg_()

        def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            column = d_log_prob.unsqueeze(-1)
            # The minimum that masks illegal actions is large enough to overflow when multiplied by a coefficient.
            inner = torch.add(log_probs, entropy.unsqueeze(-1)).mul_(probs).mul_(-d_entropy)
            return inner.addcmul_(probs, column, value=-1.0).scatter_add_(-1, index, column)

        return log_prob, entropy, pullback


class MultiCategorical:
    """Several independent categorical actions; parameters are their logits side by side, actions [B, k] int64."""

    def __init__(self, sizes: tuple[int, ...]):
        self.sizes, self.size = list(sizes), sum(sizes)
        self._parts = [Categorical(size) for size in sizes]

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """One choice from each part, [B, k]."""
        logits = torch.split(parameters, self.sizes, -1)
        return torch.stack([part.sample(z, generator) for part, z in zip(self._parts, logits, strict=True)], -1)

    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable choice of each part, [B, k]."""
        return torch.stack([z.argmax(-1) for z in torch.split(parameters, self.sizes, -1)], -1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """The sum over the parts, [B]."""
        rows = zip(self._parts, torch.split(parameters, self.sizes, -1), actions.unbind(-1), strict=True)
        return torch.stack([part.log_prob(z, a) for part, z, a in rows]).sum(0)

    def entropy(self, parameters: Tensor) -> Tensor:
        """The sum over the parts, [B]."""
        rows = zip(self._parts, torch.split(parameters, self.sizes, -1), strict=True)
        return torch.stack([part.entropy(z) for part, z in rows]).sum(0)

    def vjp(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """Part by part."""
        rows = zip(self._parts, torch.split(parameters, self.sizes, -1), actions.unbind(-1), strict=True)
        log_probs, entropies, pullbacks = zip(*(part.vjp(z, a) for part, z, a in rows), strict=True)

        def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            return torch.cat([pull(d_log_prob, d_entropy) for pull in pullbacks], -1)

        return torch.stack(log_probs).sum(0), torch.stack(entropies).sum(0), pullback


class Bernoulli:
    """``size`` independent yes-or-no actions; parameters are log-odds, actions [B, size] int8."""

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

    def vjp(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """With p = sigmoid(z): d log p(a) / dz = a - p, and dH / dz = -z * p * (1 - p)."""
        probs = torch.sigmoid(parameters)
        softplus = functional.softplus(parameters)
        log_prob = (actions * parameters).sub_(softplus).sum(-1)
        entropy = softplus.addcmul_(probs, parameters, value=-1.0).sum(-1)

        def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            slope = probs * (1 - probs)
            return torch.mul(actions - probs, d_log_prob.unsqueeze(-1)).addcmul_(slope, parameters, value=-d_entropy)

        return log_prob, entropy, pullback


class DiagonalGaussian:
    """``dimensions`` independent normal actions; parameters are means, then log standard deviations.

    Actions are [B, dimensions] float32, unbounded: whoever steps the environment clips them.
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
        return -(0.5 * error.square() + log_std + 0.5 * _LOG_2PI).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Differential entropy in nats, [B]."""
        return (parameters[..., self.dimensions :] + (0.5 + 0.5 * _LOG_2PI)).sum(-1)

    def vjp(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """With e = (a - mean) / std: d log p / d mean = e / std, d log p / d log_std = e^2 - 1, dH / d log_std = 1."""
        mean, log_std = torch.split(parameters, self.dimensions, -1)
        inverse_std = torch.exp(-log_std)
        error = (actions - mean) * inverse_std
        square = error.square()
        log_std_sum = log_std.sum(-1)
        log_prob = torch.add(square.sum(-1).mul_(-0.5), log_std_sum, alpha=-1.0).sub_(0.5 * _LOG_2PI * self.dimensions)
        entropy = log_std_sum + (0.5 + 0.5 * _LOG_2PI) * self.dimensions

        def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
            column = d_log_prob.unsqueeze(-1)
            return torch.cat((error * inverse_std * column, (square - 1.0).mul_(column).add_(d_entropy)), -1)

        return log_prob, entropy, pullback

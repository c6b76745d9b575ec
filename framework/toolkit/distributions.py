"""Action distributions as functions of one tensor of parameters, ``[..., size]``.

A distribution is built once from the action space, and every method takes the parameters, outputs of a network's head
(float32). `log_prob` and `entropy` are plain differentiable formulas. Actions are numbered from zero; a Discrete
space's ``start`` is added by the caller. Log standard deviations come last among the parameters: a network may give
what is before them, and hold them as parameters of its own.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional

from framework.errors import FrameworkError
from framework.toolkit.spaces import action_parts, check_action_space

LOG_2PI = math.log(2 * math.pi)
#: Nodes of the quadrature that the entropy of a squashed Gaussian takes.
_NODES = 32


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
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return Joint(space)
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


class Joint:
    """The independent parts of a Dict or Tuple of actions, side by side; actions are flat, [B, D] float32.

    Parameters are the logits and means of the parts in order, then the log standard deviations of the Gaussian ones in
    order. Log-probability and entropy are sums over the parts. What `ParameterizedActions` says about actions that were
    not chosen counts for nothing: its log-probability is left out, and its entropy weighted by how probable the choice
    is. Both are then exact for what matters of the action, as the choices and the parameters are independent.
    """

    def __init__(self, space: spaces.Dict | spaces.Tuple[Any]):
        self.parts = action_parts(space)
        self.distributions = {name: distribution_for(part.space) for name, part in self.parts.items()}
        deviations = {name: getattr(part, "dimensions", 0) for name, part in self.distributions.items()}
        self._heads = {name: part.size - deviations[name] for name, part in self.distributions.items()}
        self._deviations = [count for count in deviations.values() if count]
        self.dimensions = sum(self._deviations)  #: how many log standard deviations there are
        self.size = sum(self._heads.values()) + self.dimensions

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """One action of each part, in order, [B, D]."""
        rows = self.split(parameters).items()
        return self._flat({name: self.distributions[name].sample(row, generator) for name, row in rows})

    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable action of each part, [B, D]."""
        return self._flat({name: self.distributions[name].mode(row) for name, row in self.split(parameters).items()})

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """The sum over the parts that matter, [B]."""
        total = parameters.new_zeros(parameters.shape[:-1])
        taken = self.split_actions(actions)
        for name, row in self.split(parameters).items():
            log_prob = self.distributions[name].log_prob(row, taken[name])
            for choice, number in self.parts[name].conditions:
                log_prob = torch.where(taken[choice] == number, log_prob, 0.0)
            total = total + log_prob
        return total

    def entropy(self, parameters: Tensor) -> Tensor:
        """The sum over the parts, each as far as it matters, [B]."""
        total = parameters.new_zeros(parameters.shape[:-1])
        rows = self.split(parameters)
        for name, row in rows.items():
            entropy = self.distributions[name].entropy(row)
            for choice, number in self.parts[name].conditions:
                entropy = entropy * torch.softmax(rows[choice], -1)[..., number]
            total = total + entropy
        return total

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """``PART/logits``, or ``PART/mean`` and ``PART/std`` in the shape of the part."""
        named = {}
        for name, row in self.split(parameters).items():
            for parameter, values in self.distributions[name].named(row).items():
                shape = self.parts[name].space.shape or () if parameter in ("mean", "std") else values.shape[-1:]
                named[f"{name}/{parameter}"] = values.reshape(*values.shape[:-1], *shape)
        return named

    def legal(self, action_mask: Tensor) -> Tensor:
        """An action mask [B, M] as one of all parameters but the log standard deviations: all others are legal."""
        return torch.cat(
            [
                action_mask[..., part.mask]
                if part.mask.start < part.mask.stop
                else action_mask.new_ones((*action_mask.shape[:-1], self._heads[name]))
                for name, part in self.parts.items()
            ],
            -1,
        )

    def split(self, parameters: Tensor) -> dict[str, Tensor]:
        """The parameters of each part, as its distribution has them."""
        rows = torch.split(parameters, [*self._heads.values(), *self._deviations], -1)
        deviations = iter(rows[len(self._heads) :])
        return {
            name: torch.cat((row, next(deviations)), -1) if row.shape[-1] < self.distributions[name].size else row
            for name, row in zip(self._heads, rows, strict=False)
        }

    def join(self, rows: dict[str, Tensor]) -> Tensor:
        """The inverse of `split`."""
        heads = [row[..., : self._heads[name]] for name, row in rows.items()]
        return torch.cat([*heads, *(row[..., self._heads[name] :] for name, row in rows.items())], -1)

    def split_actions(self, actions: Tensor) -> dict[str, Tensor]:
        """Each part of flat actions, as its distribution has it."""
        taken = {name: actions[..., part.columns] for name, part in self.parts.items()}
        for name, distribution in self.distributions.items():
            if isinstance(distribution, Categorical):
                taken[name] = taken[name].squeeze(-1)
            if isinstance(distribution, Categorical | MultiCategorical):
                taken[name] = taken[name].to(torch.int64)
        return taken

    def _flat(self, actions: dict[str, Tensor]) -> Tensor:
        columns = [
            x.unsqueeze(-1) if isinstance(self.distributions[name], Categorical) else x for name, x in actions.items()
        ]
        return torch.cat([x.to(torch.float32) for x in columns], -1)


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


class SquashedGaussian(DiagonalGaussian):
    """Gaussian squashed into the bounds of a Box: ``a = center + half_range * tanh(u)``.

    See Haarnoja et al. (2018, arXiv:1801.01290, appendix C). Parameters are those of the Gaussian, and so are samples,
    the mode and the actions that `log_prob` takes: u, [B, dimensions] float32, of which `squash` makes actions. Close
    to a bound an action in float32 no longer tells its u: keep u where its log-probability will be asked for. The mode
    is the u of the median action. Raises `FrameworkError` where a bound is infinite, or leaves no range.
    """

    def __init__(self, space: spaces.Box):
        super().__init__(math.prod(space.shape))
        low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
            raise FrameworkError(f"squashed actions need finite bounds, low below high, which {space} has not")
        self._bounds = torch.from_numpy(low), torch.from_numpy(high)
        self._center, self._half_range = torch.from_numpy((low + high) / 2), torch.from_numpy((high - low) / 2)
        self._log_volume = float(np.log((high - low) / 2).sum())
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        #: Of the quadrature over a standard normal, [nodes] each.
        self.nodes, self.weights = torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())

    def squash(self, u: Tensor) -> Tensor:
        """Actions within the bounds, [B, dimensions]."""
        low, high = (bound.to(u) for bound in self._bounds)
        return torch.addcmul(self._center.to(u), torch.tanh(u), self._half_range.to(u)).clamp(low, high)

    def unsquash(self, actions: Tensor) -> Tensor:
        """The u of actions, as exact as their dtype has it; finite at the bounds."""
        largest = 1.0 - torch.finfo(actions.dtype).eps
        tanh = (actions - self._center.to(actions)) / self._half_range.to(actions)
        return torch.atanh(tanh.clamp(-largest, largest))

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-density of the action ``squash(u)``, [B]; ``actions`` are u."""
        return super().log_prob(parameters, actions) - _log_slope(actions).sum(-1) - self._log_volume

    def entropy(self, parameters: Tensor) -> Tensor:
        """Differential entropy of the actions in nats, [B]: that of the Gaussian plus the mean of ``log |da / du|``.

        That mean has no closed form. It is an integral over one dimension at a time, computed by Gauss-Hermite
        quadrature: no randomness, and differentiable. Errors are below 0.005 where standard deviations are at most 3.
        """
        mean, log_std = (x.unsqueeze(-1) for x in torch.split(parameters, self.dimensions, -1))
        slopes = _log_slope(torch.addcmul(mean, log_std.exp(), self.nodes.to(parameters)))
        return super().entropy(parameters) + (slopes @ self.weights.to(parameters)).sum(-1) + self._log_volume

    def named(self, parameters: Tensor) -> dict[str, Tensor]:
        """``pre_squash_mean`` and ``pre_squash_std``, [B, dimensions] each, of u."""
        return {f"pre_squash_{name}": x for name, x in super().named(parameters).items()}


def _log_slope(u: Tensor) -> Tensor:
    """``log(1 - tanh(u)^2)``, exact for any u."""
    return 2.0 * (math.log(2.0) - u - functional.softplus(-2.0 * u))

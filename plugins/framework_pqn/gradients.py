"""The gradient of an objective: of any by autograd, of `pqn_loss` in closed form, and of either in slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.slices import Slices
from framework.toolkit.vjp import vjp
from framework_pqn.config import PQNConfig
from framework_pqn.minibatches import Minibatch
from framework_pqn.network import QNetwork
from framework_pqn.objective import Objective, Predictions, pqn_loss


class Learned(NamedTuple):
    """What the network said of a minibatch before the gradient step, without gradient."""

    predictions: Predictions
    losses: dict[str, Tensor]  #: the encoder's auxiliary losses by name, []


class Backward(Protocol):
    """Sets the parameters' ``grad`` to the gradient of an objective, plus that of the encoder's auxiliary losses."""

    def __call__(self, minibatch: Minibatch, options: PQNConfig) -> Learned:
        """See the class."""


class Autograd:
    """`Backward` of any objective."""

    def __init__(self, network: QNetwork, objective: Objective, optimizer: FlatOptimizer, loss_scale: LossScale | None):
        self._network, self._objective = network, objective
        self._optimizer, self._loss_scale = optimizer, loss_scale

    def __call__(self, minibatch: Minibatch, options: PQNConfig) -> Learned:
        """See `Backward`."""
        with torch.enable_grad():
            new, evaluation = minibatch.evaluate(self._network)
            losses = {name: loss.to(torch.float32) for name, loss in evaluation.losses.items()}
            total = self._objective(new, minibatch.targets, options).total + sum(losses.values())
            self._optimizer.zero_grad()
            (total if self._loss_scale is None else total * self._loss_scale.value).backward()
        return Learned(Predictions(new.values.detach()), {name: loss.detach() for name, loss in losses.items()})


class ClosedForm:
    """`Backward` of `pqn_loss` by the rules of `framework.toolkit.vjp`, which a test compares with autograd.

    A minibatch is so small that autograd would spend most of its time on bookkeeping.
    """

    def __init__(self, network: QNetwork):
        self._network = network

    def __call__(self, minibatch: Minibatch, options: PQNConfig) -> Learned:
        """See `Backward`."""
        values, pullback = vjp(self._network, minibatch.observations)
        new = minibatch.predictions(values.unsqueeze(0))
        errors = (new.values - minibatch.targets.returns).mul_(1.0 / len(new.values))
        actions = minibatch.targets.actions.unsqueeze(-1)
        pullback(torch.zeros_like(values).scatter_(-1, actions, errors.unsqueeze(-1)))
        return Learned(new, {})


class Sliced:
    """`Backward` in slices of whole environments, weighted by their steps, which several processes may share."""

    def __init__(self, backward: Backward, slices: Slices):
        self._backward, self._slices = backward, slices

    def __call__(self, minibatch: Minibatch, options: PQNConfig) -> Learned:
        """See `Backward`."""
        parts = minibatch.slices(self._slices.count)
        names: list[str] = []

        def backward(number: int) -> list[Tensor]:
            learned = self._backward(parts[number][0], options)
            names[:] = learned.losses
            return [*learned.predictions, *learned.losses.values()]

        values, *losses = self._slices([rows for _, rows in parts], backward)
        return Learned(Predictions(values), dict(zip(names, losses, strict=True)))


def make_backward(
    network: QNetwork, objective: Objective, optimizer: FlatOptimizer, loss_scale: LossScale | None, slices: int
) -> Backward:
    """The fastest that there is for this network and objective."""
    backward: Backward = Autograd(network, objective, optimizer, loss_scale)
    if covers(network, objective):
        backward = ClosedForm(network)
    return Sliced(backward, Slices(slices, optimizer)) if slices > 1 else backward


def covers(network: QNetwork, objective: Callable[..., object]) -> bool:
    """Whether `ClosedForm` knows the gradient."""
    return network.closed_form and objective is pqn_loss

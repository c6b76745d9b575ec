"""The gradient of the objective in closed form, which a test compares with autograd's.

It is backpropagated through the network by the rules of `framework.toolkit.vjp`, or by autograd where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.vjp import vjp
from framework_dqn.autograd import Autograd
from framework_dqn.config import DQNConfig
from framework_dqn.network import QNetwork
from framework_dqn.objective import Loss, Predictions, Targets, dqn_loss
from framework_dqn.sequence_rows import SequenceRows


def dqn_gradient(new: Predictions, old: Targets, options: DQNConfig) -> Tensor:
    """Gradient of `dqn_loss` with respect to the values, [B]."""
    delta = options.huber_delta
    errors = new.values - old.values
    return errors.clamp(-delta, delta).mul_(old.weights).mul_(1.0 / len(errors))


_GRADIENTS: dict[Callable[..., Any], Callable[..., Tensor]] = {dqn_loss: dqn_gradient}


def covers(objective: Callable[..., Any]) -> bool:
    """Whether the gradient of this objective is known."""
    return objective in _GRADIENTS


class ClosedForm(Autograd):
    """As `Autograd`, with the objective's gradient in closed form."""

    def __call__(
        self, objective: Callable[..., Loss], observations: Tensors | SequenceRows, actions: Tensor, *arguments: Any
    ) -> Predictions:
        """See `Autograd`."""
        network = self._network
        if not (isinstance(network, QNetwork) and network.closed_form):
            return super().__call__(objective, observations, actions, *arguments)
        values, pullback = vjp(network, observations)
        index = actions.unsqueeze(-1)
        new = Predictions(values.gather(-1, index).squeeze(-1))
        gradient = _GRADIENTS[objective](new, *arguments)
        pullback(torch.zeros_like(values).scatter_(-1, index, gradient.unsqueeze(-1)))
        return new

    def _differentiable(self, objective: Callable[..., Loss], new: Predictions, *arguments: Any) -> Tensor:
        gradient = _GRADIENTS[objective](Predictions(new.values.detach()), *arguments)
        return torch.dot(new.values, gradient)

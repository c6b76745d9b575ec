"""The gradient of the objective in closed form, which a test compares with autograd's.

It is backpropagated through the network by the rules of `framework.toolkit.vjp`, or by autograd where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.quantiles import quantile_huber_gradient
from framework.toolkit.vjp import vjp
from framework_dqn.autograd import Autograd
from framework_dqn.config import DQNConfig
from framework_dqn.distributional import ReturnModel
from framework_dqn.network import QNetwork
from framework_dqn.objective import (
    DistributionPredictions,
    DistributionTargets,
    Loss,
    Predictions,
    Targets,
    categorical_loss,
    dqn_loss,
    quantile_loss,
)
from framework_dqn.sequence_rows import SequenceRows


def dqn_gradient(new: Predictions, old: Targets, options: DQNConfig) -> Tensor:
    """Gradient of `dqn_loss` with respect to the values, [B]."""
    delta = options.huber_delta
    errors = new.values - old.values
    return errors.clamp(-delta, delta).mul_(old.weights).mul_(1.0 / len(errors))


def categorical_gradient(new: DistributionPredictions, old: DistributionTargets, options: DQNConfig) -> Tensor:
    """Gradient of `categorical_loss` with respect to the logits, [B, K]."""
    return (new.outputs.softmax(-1) - old.returns) * (old.weights / len(old.weights)).unsqueeze(-1)


def quantile_gradient(new: DistributionPredictions, old: DistributionTargets, options: DQNConfig) -> Tensor:
    """Gradient of `quantile_loss` with respect to the quantiles, [B, K]."""
    gradient = quantile_huber_gradient(new.outputs, old.returns, options.huber_delta)
    return gradient * (old.weights / len(old.weights)).unsqueeze(-1)


#: With respect to the last field of the predictions.
_GRADIENTS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    dqn_loss: dqn_gradient,
    categorical_loss: categorical_gradient,
    quantile_loss: quantile_gradient,
}


def covers(objective: Callable[..., Any], return_model: ReturnModel) -> bool:
    """Whether the gradient of this objective is known, of the predictions of this return model."""
    return objective in _GRADIENTS and objective is return_model.objective


class ClosedForm(Autograd):
    """As `Autograd`, with the objective's gradient in closed form."""

    def __call__(
        self, objective: Callable[..., Loss], observations: Tensors | SequenceRows, actions: Tensor, *arguments: Any
    ) -> Any:
        """See `Autograd`."""
        network = self._network
        if not (isinstance(network, QNetwork) and network.closed_form):
            return super().__call__(objective, observations, actions, *arguments)
        outputs, pullback = vjp(network, observations)
        new = self.return_model.predict(outputs, actions)
        gradient = _GRADIENTS[objective](new, *arguments).unsqueeze(1)  # [B, 1], or [B, 1, K] of distributions
        index = actions.unsqueeze(-1)
        if gradient.ndim > 2:
            index = index.unsqueeze(-1).expand_as(gradient)
        pullback(torch.zeros_like(outputs).scatter_(1, index, gradient))
        return new

    def _differentiable(self, objective: Callable[..., Loss], new: Any, *arguments: Any) -> Tensor:
        gradient = _GRADIENTS[objective](self.return_model.predictions(*(x.detach() for x in new)), *arguments)
        return torch.dot(new[-1].flatten(), gradient.flatten())

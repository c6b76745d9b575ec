"""The gradient of any objective, by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework_dqn.distributional import ReturnModel
from framework_dqn.objective import Loss
from framework_dqn.sequence_rows import SequenceRows


class Autograd:
    """Sets the parameters' ``grad`` to the gradient of an objective."""

    def __init__(
        self,
        network: Callable[..., Any],
        optimizer: FlatOptimizer,
        loss_scale: LossScale | None,
        return_model: ReturnModel,
    ):
        self._network, self._optimizer, self._loss_scale = network, optimizer, loss_scale
        self.return_model = return_model

    def __call__(
        self, objective: Callable[..., Loss], observations: Tensors | SequenceRows, actions: Tensor, *arguments: Any
    ) -> Any:
        """Backpropagate ``objective(predictions, *arguments)`` plus the encoder's auxiliary losses.

        ``actions`` [B] that were taken are numbered from zero. Returns the predictions, detached.
        """
        with torch.enable_grad():
            outputs, losses = self._network(observations)
            new = self.return_model.predict(outputs, actions)
            total = self._differentiable(objective, new, *arguments) + sum(losses.values())
            self._optimizer.zero_grad()
            (total if self._loss_scale is None else total * self._loss_scale.value).backward()
        return self.return_model.predictions(*(x.detach() for x in new))

    def _differentiable(self, objective: Callable[..., Loss], new: Any, *arguments: Any) -> Tensor:
        """A scalar [] whose gradient is the objective's."""
        return objective(new, *arguments).total

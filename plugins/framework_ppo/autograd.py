"""The gradient of any objective, by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework_ppo.minibatches import Rows, Sequences
from framework_ppo.objective import Loss, Predictions
from framework_ppo.policy import ActorCritic


class Autograd:
    """Sets the parameters' ``grad`` to the gradient of an objective."""

    def __init__(self, policy: ActorCritic, optimizer: FlatOptimizer, loss_scale: LossScale | None):
        self._policy, self._optimizer, self._loss_scale = policy, optimizer, loss_scale

    def __call__(
        self, objective: Callable[..., Loss], inputs: Rows | Sequences, actions: Tensor, *arguments: Any
    ) -> tuple[Predictions, dict[str, Tensor]]:
        """Backpropagate ``objective(predictions, *arguments)`` plus the encoders' auxiliary losses.

        Returns the predictions and these losses, detached.
        """
        distribution = self._policy.distribution
        with torch.enable_grad():
            evaluation = inputs.evaluate(self._policy)
            new = Predictions(
                distribution.log_prob(evaluation.parameters, actions),
                distribution.entropy(evaluation.parameters),
                evaluation.values,
            )
            total = objective(new, *arguments).total + sum(evaluation.losses.values())
            self._optimizer.zero_grad()
            (total if self._loss_scale is None else total * self._loss_scale.value).backward()
        losses = {name: loss.detach() for name, loss in evaluation.losses.items()}
        return Predictions(*(x.detach() for x in new)), losses

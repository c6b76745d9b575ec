"""The gradients of any objectives, by autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework_off_policy.minibatch import Minibatch
from framework_off_policy.objective import ActorObjective, CriticObjective, CriticPredictions, CriticTargets

if TYPE_CHECKING:
    from framework_off_policy.learner import ActorCritic


class Autograd:
    """Sets the ``grad`` of the critics' or the actor's parameters to the gradient of an objective."""

    def __init__(
        self, learner: ActorCritic, optimizers: tuple[FlatOptimizer, FlatOptimizer], loss_scale: LossScale | None = None
    ):
        """``optimizers`` are the actor's and the critics'."""
        self._learner, self._loss_scale = learner, loss_scale
        self._actor_optimizer, self._critic_optimizer = optimizers
        self._trained = [parameter for parameter in learner.policy.parameters() if parameter.requires_grad]

    def critics(
        self, objective: CriticObjective, minibatch: Minibatch, old: CriticTargets, options: Any
    ) -> CriticPredictions:
        """Backpropagate the critics' objective plus the auxiliary losses of their encoder.

        Returns the predictions, detached.
        """
        with torch.enable_grad():
            new, losses = self._learner.predict_critics(minibatch)
            total = objective(new, old, options).total + sum(losses.values())
            self._critic_optimizer.zero_grad()
            self._scaled(total).backward()
        return CriticPredictions(new.values.detach())

    def actor(self, objective: ActorObjective, minibatch: Minibatch, options: Any) -> Any:
        """Backpropagate the actor's objective plus the auxiliary losses of its encoder, to the actor alone.

        Returns the predictions, detached.
        """
        with torch.enable_grad():
            new, losses = self._learner.predict_actor(minibatch)
            total = objective(new, options).total + sum(losses.values())
            self._actor_optimizer.zero_grad()
            self._scaled(total).backward(inputs=self._trained)
        return type(new)(*(x.detach() for x in new))

    def _scaled(self, total: Tensor) -> Tensor:
        return total if self._loss_scale is None else total * self._loss_scale.value

"""The loss of DQN (Mnih et al., 2015, doi:10.1038/nature14236).

It is an option: ``objective = "my_file:my_loss"`` trains with another function of the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from framework_dqn.config import DQNConfig


class Predictions(NamedTuple):
    """Outputs of the network for B transitions, differentiable."""

    values: Tensor  #: [B] Q-values of the actions that were taken, Q_theta(s, a)


class Targets(NamedTuple):
    """Targets of B transitions, constant."""

    values: Tensor  #: [B] TD targets, see `framework_dqn.targets`
    weights: Tensor  #: [B] importance weights of the replay buffer


class Loss(NamedTuple):
    """A loss and its terms; means of the terms over all minibatches of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


#: ``objective(new, old, options)``
Objective = Callable[[Predictions, Targets, DQNConfig], Loss]


def dqn_loss(new: Predictions, old: Targets, options: DQNConfig) -> Loss:
    """Weighted Huber loss of the TD errors, ``mean(w * huber(Q - target))`` (Huber, 1964)."""
    errors = new.values - old.values
    sizes = errors.abs()
    within = sizes.clamp(max=options.huber_delta)
    loss = old.weights * within * (sizes - 0.5 * within)
    return Loss(loss.mean(), {"loss": loss, "q_mean": new.values, "td_error": sizes})

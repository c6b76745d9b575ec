"""The loss of DQN, as in the paper: Mnih et al. (2015, doi:10.1038/nature14236).

It is an option: ``objective = "my_file:my_loss"`` trains with another function of the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from framework_dqn.config import DQNConfig


class Predictions(NamedTuple):
    """What the network that is trained says of B transitions, differentiable."""

    values: Tensor  #: [B] of the actions that were taken, Q_theta(s, a)


class Targets(NamedTuple):
    """What B transitions are learned from, constant."""

    values: Tensor  #: [B] what the values should become, see `framework_dqn.targets`
    weights: Tensor  #: [B] importance weights of the replay buffer


class Loss(NamedTuple):
    """What is minimised, and its terms, whose means over all minibatches of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


#: ``objective(new, old, options)``
Objective = Callable[[Predictions, Targets, DQNConfig], Loss]


def dqn_loss(new: Predictions, old: Targets, options: DQNConfig) -> Loss:
    """``mean(w * huber(Q - target))``: errors are squared, and beyond ``huber_delta`` linear (Huber, 1964)."""
    errors = new.values - old.values
    sizes = errors.abs()
    within = sizes.clamp(max=options.huber_delta)
    loss = old.weights * within * (sizes - 0.5 * within)
    return Loss(loss.mean(), {"loss": loss, "q_mean": new.values, "td_error": sizes})

"""The loss of PQN (Gallici et al., 2024, arXiv:2407.04811).

It is an option: ``objective = "my_file:my_loss"`` trains with another function of the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from framework_pqn.config import PQNConfig


class Predictions(NamedTuple):
    """Outputs of the network for B steps, differentiable."""

    values: Tensor  #: [B] Q-values of the actions that were taken, Q_theta(s, a)


class Targets(NamedTuple):
    """Targets of B steps, constant; those of a whole batch are [T, N] instead of [B]."""

    actions: Tensor  #: [B] that were taken, numbered from zero
    returns: Tensor  #: [B] returns of Q(lambda), see `framework_pqn.targets`


class Loss(NamedTuple):
    """A loss and its terms; means of the terms over all steps of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


#: ``objective(new, old, options)``
Objective = Callable[[Predictions, Targets, PQNConfig], Loss]


def pqn_loss(new: Predictions, old: Targets, options: PQNConfig) -> Loss:
    """Half the mean squared error of the values, ``mean((Q(s, a) - G)^2) / 2`` (algorithm 1)."""
    errors = new.values - old.returns
    loss = 0.5 * errors.square()
    return Loss(loss.mean(), {"loss": loss, "q_mean": new.values, "td_error": errors.abs()})

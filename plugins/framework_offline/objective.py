"""The losses of behaviour cloning and of implicit Q-learning.

They are options: ``objective = "my_file:my_loss"`` trains with another function of the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from framework_offline.config import BCConfig, IQLConfig


class Loss(NamedTuple):
    """A loss and its terms; means of the terms over all minibatches of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


class Cloned(NamedTuple):
    """What the policy says of B actions of the dataset, differentiable."""

    log_probs: Tensor  #: [B]


class Predictions(NamedTuple):
    """Outputs of the networks for B transitions, differentiable."""

    log_probs: Tensor  #: [B] of the actions that were taken
    values: Tensor  #: [B] V(s)
    q_values: Tensor  #: [2, B] Q_i(s, a) of each critic


class Targets(NamedTuple):
    """Targets of B transitions, constant."""

    q_values: Tensor  #: [B] the smaller of the two target critics' Q(s, a)
    returns: Tensor  #: [B] rewards, and the discounted V(s') that follows them
    weights: Tensor  #: [B] importance weights of the replay buffer


#: ``objective(new, weights, options)`` of `bc`, ``objective(new, old, options)`` of `iql`
Objective = Callable[[Any, Any, Any], Loss]


def bc_loss(new: Cloned, weights: Tensor, options: BCConfig) -> Loss:
    """Negative log-likelihood of the actions (Pomerleau, 1991), with the replay buffer's importance weights [B]."""
    loss = -new.log_probs
    return Loss((weights * loss).mean(), {"loss": loss})


def iql_loss(new: Predictions, old: Targets, options: IQLConfig) -> Loss:
    """Implicit Q-learning (Kostrikov et al., 2022, arXiv:2110.06169): equations 5, 6 and 7, each of other networks."""
    value_loss = expectile_loss(old.q_values - new.values, options.expectile)
    q_loss = (new.q_values - old.returns).square().sum(0)
    advantages = (old.q_values - new.values).detach()
    weights = torch.exp(options.temperature * advantages).clamp(max=options.weight_clip)
    policy_loss = -weights * new.log_probs
    total = (old.weights * (value_loss + q_loss + policy_loss)).mean()
    terms = {
        "value_loss": value_loss,
        "q_loss": q_loss,
        "policy_loss": policy_loss,
        "log_prob": new.log_probs,
        "advantage": advantages,
        "weight": weights,
        "value_mean": new.values,
        "q_mean": new.q_values.mean(0),
    }
    return Loss(total, terms)


def expectile_loss(errors: Tensor, expectile: float) -> Tensor:
    """Asymmetric squares ``|expectile - 1(error < 0)| * error^2`` of each error, of any shape (equation 3)."""
    return torch.where(errors < 0, 1.0 - expectile, expectile) * errors.square()

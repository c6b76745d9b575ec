"""The loss of DQN (Mnih et al., 2015, doi:10.1038/nature14236), and those of return distributions.

It is an option: ``objective = "my_file:my_loss"`` trains with another function of the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from framework.toolkit.quantiles import quantile_huber_loss
from framework_dqn.config import DQNConfig


class Predictions(NamedTuple):
    """Outputs of the network for B transitions, differentiable."""

    values: Tensor  #: [B] Q-values of the actions that were taken, Q_theta(s, a)


class Targets(NamedTuple):
    """Targets of B transitions, constant."""

    values: Tensor  #: [B] TD targets, see `framework_dqn.targets`
    weights: Tensor  #: [B] importance weights of the replay buffer


class DistributionPredictions(NamedTuple):
    """As `Predictions`, where the network predicts the distribution of the return."""

    values: Tensor  #: [B] means of the distributions
    outputs: Tensor  #: [B, K] logits of the K atoms, or K quantiles


class DistributionTargets(NamedTuple):
    """As `Targets`, where the network predicts the distribution of the return."""

    values: Tensor  #: [B] means of the distributions
    weights: Tensor  #: [B] importance weights of the replay buffer
    returns: Tensor  #: [B, K] probabilities of the K atoms, or equally probable returns


class Loss(NamedTuple):
    """A loss and its terms; means of the terms over all minibatches of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


#: ``objective(new, old, options)``, of predictions and targets
Objective = Callable[[Any, Any, DQNConfig], Loss]


def dqn_loss(new: Predictions, old: Targets, options: DQNConfig) -> Loss:
    """Weighted Huber loss of the TD errors, ``mean(w * huber(Q - target))`` (Huber, 1964)."""
    errors = new.values - old.values
    sizes = errors.abs()
    within = sizes.clamp(max=options.huber_delta)
    loss = old.weights * within * (sizes - 0.5 * within)
    return Loss(loss.mean(), {"loss": loss, "q_mean": new.values, "td_error": sizes})


def categorical_loss(new: DistributionPredictions, old: DistributionTargets, options: DQNConfig) -> Loss:
    """Weighted cross-entropy of the target's atoms, ``mean(w * -sum_k p_k log q_k)``.

    Bellemare et al. (2017, arXiv:1707.06887), algorithm 1.
    """
    cross_entropy = -(old.returns * new.outputs.log_softmax(-1)).sum(-1)
    loss = old.weights * cross_entropy
    sizes = (new.values - old.values).abs()
    return Loss(loss.mean(), {"loss": loss, "q_mean": new.values, "td_error": sizes, "kl": kl_divergence(new, old)})


def quantile_loss(new: DistributionPredictions, old: DistributionTargets, options: DQNConfig) -> Loss:
    """Weighted quantile Huber loss, ``mean(w * sum_i mean_j |tau_i - 1{u_ij < 0}| huber(u_ij))``.

    Dabney et al. (2018, arXiv:1710.10044), algorithm 1.
    """
    loss = old.weights * quantile_huber_loss(new.outputs, old.returns, options.huber_delta).sum(-1)
    sizes = (new.values - old.values).abs()
    return Loss(loss.mean(), {"loss": loss, "q_mean": new.values, "td_error": sizes})


def kl_divergence(new: DistributionPredictions, old: DistributionTargets) -> Tensor:
    """Kullback-Leibler divergence of the predicted atoms from the target's, ``sum_k p_k log(p_k / q_k)``, [B]."""
    return (old.returns.xlogy(old.returns) - old.returns * new.outputs.log_softmax(-1)).sum(-1).clamp(min=0.0)

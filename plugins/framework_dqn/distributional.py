"""What the network predicts of the return of each action: its mean, or its distribution.

A return model reads the network's outputs, makes predictions and targets of them, and has an objective.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from framework_dqn.config import DQNConfig
from framework_dqn.objective import (
    DistributionPredictions,
    DistributionTargets,
    Objective,
    Predictions,
    Targets,
    categorical_loss,
    dqn_loss,
    kl_divergence,
    quantile_loss,
)


class Returns(NamedTuple):
    """Returns that may follow, for B transitions: before rewards and discounts, or with them."""

    points: Tensor  #: [B], or [B, J] where distributions are predicted
    probabilities: Tensor | None = None  #: [B, J]; None where all are equally probable


class ReturnModel(Protocol):
    """``outputs`` are the network's: [B, A], or [B, A, K] of distributions."""

    predictions: Callable[..., Any]  #: the type of what `predict` gives
    targets: Callable[..., Any]  #: the type of what `target` gives
    objective: Objective  #: the default

    def means(self, outputs: Tensor) -> Tensor:
        """Q-values, [B, A]."""

    def predict(self, outputs: Tensor, actions: Tensor) -> Any:
        """Predictions for the actions taken, [B]."""

    def greedy(self, outputs: Tensor, actions: Tensor) -> Returns:
        """The returns of these actions, [B]."""

    def soft(self, outputs: Tensor, policy: Tensor, entropies: Tensor) -> Returns:
        """The returns of a policy [B, A], each plus its action's ``entropies`` [B, A], see `soft_policy`."""

    def target(self, returns: Returns, weights: Tensor) -> Any:
        """Targets, of returns with rewards and discounts, and importance weights [B]."""

    def priorities(self, new: Any, old: Any) -> Tensor:
        """What prioritized replay samples by, [B]."""


class MeanReturn:
    """Q-values, as in DQN: priorities are absolute TD errors."""

    predictions, targets = Predictions, Targets
    objective = staticmethod(dqn_loss)

    def means(self, outputs: Tensor) -> Tensor:
        """See `ReturnModel`."""
        return outputs

    def predict(self, outputs: Tensor, actions: Tensor) -> Predictions:
        """See `ReturnModel`."""
        return Predictions(outputs.gather(-1, actions.unsqueeze(-1)).squeeze(-1))

    def greedy(self, outputs: Tensor, actions: Tensor) -> Returns:
        """See `ReturnModel`."""
        return Returns(outputs.gather(-1, actions.unsqueeze(-1)).squeeze(-1))

    def soft(self, outputs: Tensor, policy: Tensor, entropies: Tensor) -> Returns:
        """See `ReturnModel`."""
        return Returns((policy * (outputs + entropies)).sum(-1))

    def target(self, returns: Returns, weights: Tensor) -> Targets:
        """See `ReturnModel`."""
        return Targets(returns.points, weights)

    def priorities(self, new: Predictions, old: Targets) -> Tensor:
        """See `ReturnModel`."""
        return (new.values - old.values).abs()


class QuantileReturn:
    """K quantiles of the return (QR-DQN; Dabney et al., 2018, arXiv:1710.10044).

    Priorities are absolute TD errors of the means.
    """

    predictions, targets = DistributionPredictions, DistributionTargets
    objective = staticmethod(quantile_loss)

    def means(self, outputs: Tensor) -> Tensor:
        """See `ReturnModel`."""
        return outputs.mean(-1)

    def predict(self, outputs: Tensor, actions: Tensor) -> DistributionPredictions:
        """See `ReturnModel`."""
        quantiles = _of_actions(outputs, actions)
        return DistributionPredictions(quantiles.mean(-1), quantiles)

    def greedy(self, outputs: Tensor, actions: Tensor) -> Returns:
        """See `ReturnModel`."""
        return Returns(_of_actions(outputs, actions))

    def soft(self, outputs: Tensor, policy: Tensor, entropies: Tensor) -> Returns:
        """Each quantile is averaged over the actions, as in M-IQN (Vieillard et al., 2020, arXiv:2007.14430)."""
        return Returns((policy.unsqueeze(-1) * (outputs + entropies.unsqueeze(-1))).sum(-2))

    def target(self, returns: Returns, weights: Tensor) -> DistributionTargets:
        """See `ReturnModel`."""
        return DistributionTargets(returns.points.mean(-1), weights, returns.points)

    def priorities(self, new: DistributionPredictions, old: DistributionTargets) -> Tensor:
        """See `ReturnModel`."""
        return (new.values - old.values).abs()


class CategoricalReturn:
    """Probabilities of K atoms, evenly spaced from ``v_min`` to ``v_max`` (C51; Bellemare et al., 2017).

    arXiv:1707.06887. Priorities are Kullback-Leibler divergences, as in Rainbow (Hessel et al., 2018,
    arXiv:1710.02298).
    """

    predictions, targets = DistributionPredictions, DistributionTargets
    objective = staticmethod(categorical_loss)

    def __init__(self, atoms: Tensor):
        self._atoms = atoms  # [K]

    def means(self, outputs: Tensor) -> Tensor:
        """See `ReturnModel`."""
        return outputs.softmax(-1) @ self._atoms

    def predict(self, outputs: Tensor, actions: Tensor) -> DistributionPredictions:
        """See `ReturnModel`."""
        logits = _of_actions(outputs, actions)
        return DistributionPredictions(self.means(logits), logits)

    def greedy(self, outputs: Tensor, actions: Tensor) -> Returns:
        """See `ReturnModel`."""
        probabilities = _of_actions(outputs, actions).softmax(-1)
        return Returns(self._atoms.expand_as(probabilities), probabilities)

    def soft(self, outputs: Tensor, policy: Tensor, entropies: Tensor) -> Returns:
        """The mixture of the actions' distributions, each moved by its action's entropy: J = A * K."""
        probabilities = policy.unsqueeze(-1) * outputs.softmax(-1)
        return Returns((self._atoms + entropies.unsqueeze(-1)).flatten(1), probabilities.flatten(1))

    def target(self, returns: Returns, weights: Tensor) -> DistributionTargets:
        """See `ReturnModel`."""
        assert returns.probabilities is not None
        probabilities = project(returns.points, returns.probabilities, self._atoms)
        return DistributionTargets(probabilities @ self._atoms, weights, probabilities)

    def priorities(self, new: DistributionPredictions, old: DistributionTargets) -> Tensor:
        """See `ReturnModel`."""
        return kl_divergence(new, old)


def return_model(config: DQNConfig, device: str) -> ReturnModel:
    """The return model that the options ask for."""
    if config.distribution == "categorical":
        return CategoricalReturn(torch.linspace(config.v_min, config.v_max, config.atoms, device=device))
    return QuantileReturn() if config.distribution == "quantile" else MeanReturn()


def project(points: Tensor, probabilities: Tensor, atoms: Tensor) -> Tensor:
    """Projects distributions onto evenly spaced atoms [K]: their probabilities, [B, K].

    The probability of each of the ``points`` [B, J] is shared by the two atoms beside it, the nearer one getting more;
    points beyond the outermost atoms count as those (Bellemare et al., 2017, arXiv:1707.06887, equation 7).
    """
    low, high, count = atoms[0], atoms[-1], len(atoms)
    places = (points.clamp(low, high) - low) * ((count - 1) / (high - low))  # [B, J] from 0 to K - 1
    distances = (places.unsqueeze(-1) - torch.arange(count, dtype=atoms.dtype, device=atoms.device)).abs_()
    shares = distances.neg_().add_(1.0).clamp_(min=0.0)  # [B, J, K]
    return (probabilities.unsqueeze(-2) @ shares).squeeze(-2)


def _of_actions(outputs: Tensor, actions: Tensor) -> Tensor:
    """[B, A, K], actions [B] -> [B, K]."""
    return outputs[torch.arange(len(actions), device=actions.device), actions]

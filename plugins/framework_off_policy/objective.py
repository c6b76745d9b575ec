"""The losses of SAC, TD3 and TQC, as in the papers.

Each is an option: ``critic_objective = "my_file:my_loss"`` or ``actor_objective`` trains with another function of the
same arguments. B transitions, E critics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from framework.toolkit.quantiles import quantile_huber_loss
from framework_off_policy.config import ActorCriticConfig, SACConfig, TD3Config, TQCConfig


class Loss(NamedTuple):
    """A loss and its terms; means of the terms over all minibatches of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


class CriticPredictions(NamedTuple):
    """What the critics say of the actions that were taken, differentiable."""

    values: Tensor  #: [B, E] Q-values, or [B, E, M] quantiles of the return


class CriticTargets(NamedTuple):
    """Targets of the critics, constant."""

    values: Tensor  #: [B] TD targets, or [B, K] samples of the return
    weights: Tensor  #: [B] importance weights of the replay buffer


class SoftActor(NamedTuple):
    """An action of the actor for each observation, reparametrized: differentiable."""

    values: Tensor  #: [B] what the critics say of it: the lowest Q-value, or the mean of all quantiles
    log_prob: Tensor  #: [B] its log-probability density
    temperature: Tensor  #: [B] all equal, constant


class DiscreteActor(NamedTuple):
    """All A actions for each observation; those that are illegal have probability 0, and log-probability 0 too."""

    values: Tensor  #: [B, A] the lowest Q-values, constant
    probs: Tensor  #: [B, A] differentiable
    log_probs: Tensor  #: [B, A] differentiable
    temperature: Tensor  #: [B] all equal, constant


class DeterministicActor(NamedTuple):
    """The actor's action for each observation, differentiable."""

    values: Tensor  #: [B] Q-values of the first critic


#: ``objective(new, old, options)`` of the critics
CriticObjective = Callable[[CriticPredictions, CriticTargets, Any], Loss]
#: ``objective(new, options)`` of the actor
ActorObjective = Callable[[Any, Any], Loss]


def critic_loss(new: CriticPredictions, old: CriticTargets, options: ActorCriticConfig) -> Loss:
    """Weighted squared TD errors, ``mean(w * sum_i (Q_i - target)^2 / 2)``.

    SAC (Haarnoja et al., 2018, arXiv:1812.05905, equation 5) and TD3 (Fujimoto et al., 2018, arXiv:1802.09477).
    """
    errors = new.values - old.values.unsqueeze(1)
    loss = old.weights * 0.5 * errors.square().sum(1)
    return Loss(loss.mean(), {"critic_loss": loss, "q_mean": new.values.mean(1), "td_error": errors.abs().mean(1)})


def quantile_critic_loss(new: CriticPredictions, old: CriticTargets, options: TQCConfig) -> Loss:
    """Weighted quantile Huber loss between all quantiles and all target samples, the sum over the critics.

    With ``u = y_k - theta_m``, the mean over m and k of ``|tau_m - (u < 0)| * huber(u) / delta``, where
    ``tau_m = (m + 1/2) / M``. TQC (Kuznetsov et al., 2020, arXiv:2005.04269, equations 11 and 12); the loss is from
    Dabney et al. (2018, arXiv:1710.10044, equation 10).
    """
    losses = quantile_huber_loss(new.values, old.values.unsqueeze(1), options.huber_delta)  # [B, E, M]
    loss = old.weights * losses.mean(2).sum(1) / options.huber_delta
    means = new.values.mean(2)
    td_errors = (means - old.values.mean(1, keepdim=True)).abs().mean(1)
    return Loss(loss.mean(), {"critic_loss": loss, "q_mean": means.mean(1), "td_error": td_errors})


def soft_actor_loss(new: SoftActor, options: SACConfig) -> Loss:
    """``mean(temperature * log pi(a) - Q(a))`` (Haarnoja et al., 2018, arXiv:1812.05905, equation 7)."""
    loss = new.temperature * new.log_prob - new.values
    return Loss(loss.mean(), {"actor_loss": loss, "entropy": -new.log_prob, "temperature": new.temperature})


def discrete_actor_loss(new: DiscreteActor, options: SACConfig) -> Loss:
    """``mean(sum_a pi(a) * (temperature * log pi(a) - Q(a)))`` (Christodoulou, 2019, arXiv:1910.07207, equation 12)."""
    loss = (new.probs * (new.temperature.unsqueeze(1) * new.log_probs - new.values)).sum(1)
    entropy = -(new.probs * new.log_probs).sum(1)
    return Loss(loss.mean(), {"actor_loss": loss, "entropy": entropy, "temperature": new.temperature})


def deterministic_actor_loss(new: DeterministicActor, options: TD3Config) -> Loss:
    """``-mean(Q_1(pi(s)))`` (Fujimoto et al., 2018, arXiv:1802.09477, algorithm 1)."""
    return Loss(-new.values.mean(), {"actor_loss": -new.values})


def temperature_loss(log_temperature: Tensor, entropy: Tensor, target_entropy: Tensor | float) -> Tensor:
    """``mean(log(temperature) * (entropy - target))``, [], with entropies [B] constant.

    Haarnoja et al. (2018, arXiv:1812.05905, equation 18), with the logarithm for the temperature itself, as in the
    authors' program: too little entropy raises the temperature.
    """
    return (log_temperature * (entropy - target_entropy).detach()).mean()


def truncated(quantiles: Tensor, dropped: int) -> Tensor:
    """The quantiles of all critics [B, E, M] as samples [B, E * (M - dropped)], sorted, without the largest.

    TQC (Kuznetsov et al., 2020, arXiv:2005.04269, equation 9).
    """
    samples = quantiles.flatten(1).sort(1).values
    return samples[:, : samples.shape[1] - dropped * quantiles.shape[1]]

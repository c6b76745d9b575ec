"""The objective of PPO (Schulman et al., 2017, arXiv:1707.06347).

It is an option: ``objective = "my_file:my_loss"`` trains with another function of the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from framework_ppo.config import PPOConfig


class Predictions(NamedTuple):
    """Outputs of the policy for B steps, differentiable."""

    log_prob: Tensor  #: [B] of the actions that were taken, log pi_theta(a|s)
    entropy: Tensor  #: [B] of the action distributions, H[pi_theta(.|s)]
    values: Tensor  #: [B], or [B, S] where there are S reward streams, V_theta(s)


class Targets(NamedTuple):
    """Targets of B steps, constant; those of a whole batch are [T, N] instead of [B]."""

    actions: Tensor  #: [B, ...] that were taken, in the form of the action distribution
    log_prob: Tensor  #: [B] of the actions under the old policy, log pi_old(a|s)
    advantages: Tensor  #: [B] A, normalized where the pipeline asks for it
    values: Tensor  #: [B] or [B, S] before the update, V_old(s)
    returns: Tensor  #: [B] or [B, S] value targets, R


class Loss(NamedTuple):
    """A loss and its terms; means of the terms over all steps of an update are recorded by name."""

    total: Tensor  #: []
    terms: dict[str, Tensor]  #: {name: [B]}


#: ``objective(new, old, clip_range, options)``; ``clip_range`` follows its schedule.
Objective = Callable[[Predictions, Targets, float, PPOConfig], Loss]


def ppo_loss(new: Predictions, old: Targets, clip_range: float, options: PPOConfig) -> Loss:
    """The clipped surrogate objective with value loss and entropy bonus (equations 7 and 9), to be minimised.

    ``-mean(min(ratio * A, clip(ratio, 1 - eps, 1 + eps) * A)) + c_v * mean((V - R)^2) / 2 - c_e * mean(H)``
    """
    log_ratio = new.log_prob - old.log_prob
    ratio = log_ratio.exp()
    surrogate = ratio * old.advantages
    clipped_surrogate = ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * old.advantages
    policy_loss = -torch.minimum(surrogate, clipped_surrogate)

    squared_error = (new.values - old.returns).square()
    if options.value_clip_range is not None:
        moved = (new.values - old.values).clamp(-options.value_clip_range, options.value_clip_range)
        squared_error = torch.maximum(squared_error, (old.values + moved - old.returns).square())
    value_loss = 0.5 * squared_error.flatten(1).sum(1) if squared_error.ndim > 1 else 0.5 * squared_error

    total = (
        policy_loss.mean()
        + options.value_coefficient * value_loss.mean()
        - options.entropy_coefficient * new.entropy.mean()
    )
    terms = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": new.entropy,
        "approximate_kl": ratio - 1.0 - log_ratio,
        "clip_fraction": ((ratio - 1.0).abs() > clip_range).to(torch.float32),
    }
    return Loss(total, terms)


def approximate_kl(new: Predictions, old: Targets) -> Tensor:
    """Approximate KL(pi_old || pi_theta), [], by the estimator k3 of Schulman (2020, "Approximating KL divergence")."""
    log_ratio = new.log_prob - old.log_prob
    return (log_ratio.exp() - 1.0 - log_ratio).mean()

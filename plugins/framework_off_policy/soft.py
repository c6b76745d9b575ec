"""Soft values, ``V(s) = E[Q(s, a) - temperature * log pi(a | s)]``: by one draw, or a sum over Discrete actions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from framework_off_policy.config import SACConfig, TQCConfig
from framework_off_policy.critic import Critics
from framework_off_policy.minibatch import Minibatch
from framework_off_policy.objective import CriticPredictions, DiscreteActor, SoftActor, truncated
from framework_off_policy.policy import CategoricalActor, GaussianActor

Losses = Mapping[str, Tensor]


class Soft(Protocol):
    """What SAC asks of its kind of actions. ``temperature`` is [], constant."""

    def targets(self, minibatch: Minibatch, critics: Critics, temperature: Tensor) -> Tensor:
        """Targets of the critics by the target ``critics``, [B] or [B, K]; without gradient."""

    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Losses]:
        """What the critics' objective takes, and auxiliary losses: differentiable."""

    def predict_actor(self, minibatch: Minibatch, temperature: Tensor) -> tuple[SoftActor | DiscreteActor, Losses]:
        """What the actor's objective takes, and auxiliary losses: differentiable."""

    def entropy(self, actor: SoftActor | DiscreteActor) -> Tensor:
        """Entropy of the actor, [B], from its predictions."""

    def target_entropy(self, minibatch: Minibatch) -> Tensor | float:
        """The entropy that is aimed at where no option says so, [B] or a number."""


class Draws:
    """Soft values by one reparametrized draw, the lowest Q-value of all critics (Haarnoja et al., 2018)."""

    def __init__(self, policy: GaussianActor, critics: Critics, config: SACConfig, generator: torch.Generator):
        self._policy, self._critics, self._config, self._generator = policy, critics, config, generator

    def targets(self, minibatch: Minibatch, critics: Critics, temperature: Tensor) -> Tensor:
        """``returns + discount * (min Q' - temperature * log pi)`` of a draw, [B]; arXiv:1812.05905, equation 6."""
        actions, log_prob = self._policy.draw(self._policy(minibatch.next_rows)[0], self._generator)
        values, _ = critics(minibatch.next_rows, actions, self._generator)
        soft = values.squeeze(-1).amin(1) - temperature * log_prob
        return torch.addcmul(minibatch.returns, minibatch.discounts, soft)

    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Losses]:
        """Q-values [B, E]."""
        values, losses = self._critics(minibatch.rows, minibatch.actions, self._generator)
        return CriticPredictions(values.squeeze(-1)), losses

    def predict_actor(self, minibatch: Minibatch, temperature: Tensor) -> tuple[SoftActor, Losses]:
        """Of one draw for each observation."""
        outputs, losses = self._policy(minibatch.rows)
        actions, log_prob = self._policy.draw(outputs, self._generator)
        values, _ = self._critics(minibatch.rows, actions, self._generator)
        return SoftActor(self.judged(values), log_prob, temperature.expand_as(log_prob)), losses

    def judged(self, values: Tensor) -> Tensor:
        """What the actor is to raise, [B], of what all critics say, [B, E, 1]."""
        return values.squeeze(-1).amin(1)

    def judged_gradient(self, values: Tensor) -> Tensor:
        """Gradient of `judged` with respect to ``values``."""
        return torch.zeros_like(values).scatter_(1, values.argmin(1, keepdim=True), 1.0)

    def entropy(self, actor: SoftActor | DiscreteActor) -> Tensor:
        """Minus the log-probability of each draw."""
        assert isinstance(actor, SoftActor)
        return -actor.log_prob

    def target_entropy(self, minibatch: Minibatch) -> float:
        """Minus the number of actions (Haarnoja et al., 2018, arXiv:1812.05905, appendix D)."""
        return -float(self._policy.dimensions)


class QuantileDraws(Draws):
    """Soft values by one draw, of critics that tell quantiles of the return (Kuznetsov et al., 2020)."""

    def targets(self, minibatch: Minibatch, critics: Critics, temperature: Tensor) -> Tensor:
        """Samples of the return [B, K], without the largest; arXiv:2005.04269, equation 10."""
        actions, log_prob = self._policy.draw(self._policy(minibatch.next_rows)[0], self._generator)
        quantiles, _ = critics(minibatch.next_rows, actions, self._generator)
        assert isinstance(self._config, TQCConfig)
        samples = truncated(quantiles, self._config.dropped_quantiles) - (temperature * log_prob).unsqueeze(1)
        return torch.addcmul(minibatch.returns.unsqueeze(1), minibatch.discounts.unsqueeze(1), samples)

    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Losses]:
        """Quantiles [B, E, M]."""
        values, losses = self._critics(minibatch.rows, minibatch.actions, self._generator)
        return CriticPredictions(values), losses

    def judged(self, values: Tensor) -> Tensor:
        """The mean of all quantiles, of which none is left out here; equation 13."""
        return values.mean((1, 2))

    def judged_gradient(self, values: Tensor) -> Tensor:
        """Equal for all."""
        return torch.full_like(values, 1.0 / values[0].numel())


class Expectations:
    """Soft values as sums over Discrete actions (Christodoulou, 2019, arXiv:1910.07207).

    Illegal actions have probability 0, in the targets too.
    """

    def __init__(self, policy: CategoricalActor, critics: Critics, config: SACConfig, generator: torch.Generator):
        self._policy, self._critics, self._config, self._generator = policy, critics, config, generator

    def targets(self, minibatch: Minibatch, critics: Critics, temperature: Tensor) -> Tensor:
        """``returns + discount * sum_a pi(a) * (min Q'(a) - temperature * log pi(a))``, [B]; equations 3 and 10."""
        probs, log_probs = self._policy.probabilities(self._policy(minibatch.next_rows)[0], minibatch.next_mask)
        values, _ = critics(minibatch.next_rows, None, self._generator)
        soft = (probs * (values.amin(1) - temperature * log_probs)).sum(1)
        return torch.addcmul(minibatch.returns, minibatch.discounts, soft)

    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Losses]:
        """Q-values [B, E] of the actions taken."""
        values, losses = self._critics(minibatch.rows, None, self._generator)
        index = minibatch.actions[:, None, None].expand(-1, values.shape[1], 1)
        return CriticPredictions(values.gather(2, index).squeeze(2)), losses

    def predict_actor(self, minibatch: Minibatch, temperature: Tensor) -> tuple[DiscreteActor, Losses]:
        """Of all actions."""
        with torch.no_grad():
            values = self._critics(minibatch.rows, None, self._generator)[0].amin(1)
        outputs, losses = self._policy(minibatch.rows)
        probs, log_probs = self._policy.probabilities(outputs, minibatch.mask)
        return DiscreteActor(values, probs, log_probs, temperature.expand(len(values))), losses

    def entropy(self, actor: SoftActor | DiscreteActor) -> Tensor:
        """The sum over all actions."""
        assert isinstance(actor, DiscreteActor)
        return -(actor.probs * actor.log_probs).sum(1)

    def target_entropy(self, minibatch: Minibatch) -> Tensor | float:
        """``target_entropy_fraction`` of the logarithm of the number of legal actions: theirs is at most that."""
        fraction = self._config.target_entropy_fraction
        if minibatch.mask is None:
            return fraction * math.log(self._policy.actions)
        return fraction * minibatch.mask.sum(1).clamp(min=1).to(torch.float32).log()

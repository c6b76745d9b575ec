"""The gradients of the objectives in closed form, which tests compare with autograd's.

Most of a gradient step is matrix products; autograd adds bookkeeping. Here critics, actors and objectives are
differentiated by hand, and encoders by the rules of `framework.toolkit.vjp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.vjp import vjp
from framework_off_policy.autograd import Autograd
from framework_off_policy.config import ActorCriticConfig, TQCConfig
from framework_off_policy.critic import Critics, Ensemble
from framework_off_policy.minibatch import Minibatch
from framework_off_policy.objective import (
    ActorObjective,
    CriticObjective,
    CriticPredictions,
    CriticTargets,
    DeterministicActor,
    SoftActor,
    critic_loss,
    deterministic_actor_loss,
    quantile_critic_loss,
    soft_actor_loss,
)
from framework_off_policy.policy import Actor, BoxActor, GaussianActor
from framework_off_policy.soft import Draws
from framework_off_policy.squashed import log_prob, squash

if TYPE_CHECKING:
    from framework_off_policy.sac import SAC
    from framework_off_policy.td3 import TD3

_aten = torch.ops.aten
#: Activations of critics that are covered, in place, and (gradient, output) -> gradient of what was activated.
_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "relu": (torch.relu_, lambda gradient, y: _aten.threshold_backward(gradient, y, 0)),
    "tanh": (torch.tanh_, _aten.tanh_backward),
}


def covers(policy: Actor, critics: Critics) -> bool:
    """Whether these networks are differentiated here."""
    ensemble = critics.ensemble
    plain = not ensemble.norms and not ensemble.dropout and ensemble.activation in _ACTIVATIONS
    return isinstance(policy, BoxActor) and policy.closed_form and critics.closed_form and plain


def critic_gradient(new: CriticPredictions, old: CriticTargets, options: ActorCriticConfig) -> Tensor:
    """Gradient of `critic_loss` with respect to the values, [B, E]."""
    return (new.values - old.values.unsqueeze(1)).mul_((old.weights / len(old.weights)).unsqueeze(1))


def quantile_critic_gradient(new: CriticPredictions, old: CriticTargets, options: TQCConfig) -> Tensor:
    """Gradient of `quantile_critic_loss` with respect to the quantiles, [B, E, M]."""
    quantiles, delta = new.values.shape[-1], options.huber_delta
    taus = (torch.arange(quantiles, device=new.values.device) + 0.5) / quantiles
    errors = old.values[:, None, None, :] - new.values.unsqueeze(-1)  # [B, E, M, K]
    slopes = (taus[:, None] - (errors < 0).to(taus.dtype)).abs_()
    gradient = slopes.mul_(errors.clamp_(-delta, delta)).mean(3)
    return gradient.mul_((old.weights * (-1.0 / (len(old.weights) * quantiles * delta)))[:, None, None])


_CRITIC_GRADIENTS: dict[CriticObjective, Callable[..., Tensor]] = {
    critic_loss: critic_gradient,
    quantile_critic_loss: quantile_critic_gradient,
}


class ClosedForm(Autograd):
    """As `Autograd`, in closed form where the objective is the default."""

    def critics(
        self, objective: CriticObjective, minibatch: Minibatch, old: CriticTargets, options: Any
    ) -> CriticPredictions:
        """See `Autograd`."""
        if objective not in _CRITIC_GRADIENTS:
            return super().critics(objective, minibatch, old, options)
        critics = self._learner.critics
        features, encoder_pullback = vjp(critics.encoder, minibatch.rows)
        values, pullback = ensemble_vjp(critics.ensemble, torch.cat((features, minibatch.actions), -1))
        scalar = objective is critic_loss
        new = CriticPredictions(values.squeeze(-1).t() if scalar else values.transpose(0, 1))
        gradient = _CRITIC_GRADIENTS[objective](new, old, options)
        gradient = gradient.t().unsqueeze(-1) if scalar else gradient.transpose(0, 1)
        encoded = critics.trained_encoder
        inputs = pullback(gradient.contiguous(), columns=slice(0, features.shape[1]) if encoded else None)
        if encoded:
            encoder_pullback(inputs)
        return new

    def actor(self, objective: ActorObjective, minibatch: Minibatch, options: Any) -> Any:
        """See `Autograd`."""
        gradient = _ACTOR_GRADIENTS.get(objective)
        return super().actor(objective, minibatch, options) if gradient is None else gradient(self._learner, minibatch)


def soft_actor_gradient(learner: SAC, minibatch: Minibatch) -> SoftActor:
    """Backpropagate `soft_actor_loss`.

    With ``u = mean + noise * std`` and ``a = tanh(u)``: ``d log pi / du = 2a`` where the noise is constant, and
    ``d log pi / d log_std = -1`` beside.
    """
    policy, soft = learner.policy, learner.soft
    assert isinstance(policy, GaussianActor)
    assert isinstance(soft, Draws)
    outputs, pullback = actor_vjp(policy, minibatch.rows)
    mean, log_std = policy.parameters_of(outputs)
    noise = torch.empty_like(mean).normal_(generator=learner.generator)
    scaled_noise = log_std.exp().mul_(noise)
    raw = mean + scaled_noise
    actions, temperature = squash(raw), learner.temperature()
    values, critics_pullback = _judge(learner.critics, minibatch.rows, actions)
    values = values.transpose(0, 1)
    new = SoftActor(soft.judged(values), log_prob(raw, noise, log_std), temperature.expand(len(actions)))

    share = 1.0 / len(actions)
    d_values = soft.judged_gradient(values).mul_(-share).transpose(0, 1)
    d_actions = critics_pullback(d_values.contiguous())
    d_raw = d_actions.mul_(1.0 - actions.square()).add_(actions * (temperature * (2.0 * share)))
    d_log_std = d_raw * scaled_noise - temperature * share
    low, high = policy.log_std_bounds
    free = outputs[:, policy.dimensions :]
    pullback(torch.cat((d_raw, d_log_std.mul_((free >= low) & (free <= high))), -1))
    return new


def deterministic_actor_gradient(learner: TD3, minibatch: Minibatch) -> DeterministicActor:
    """Backpropagate `deterministic_actor_loss`."""
    outputs, pullback = actor_vjp(learner.policy, minibatch.rows)
    actions = squash(outputs)
    values, critics_pullback = _judge(learner.critics, minibatch.rows, actions, members=1)
    d_actions = critics_pullback(torch.full_like(values, -1.0 / len(actions)))
    pullback(_aten.tanh_backward(d_actions, actions))
    return DeterministicActor(values[0, :, 0])


_ACTOR_GRADIENTS: dict[ActorObjective, Callable[[Any, Minibatch], Any]] = {
    soft_actor_loss: soft_actor_gradient,
    deterministic_actor_loss: deterministic_actor_gradient,
}


def _judge(
    critics: Critics, rows: Tensors, actions: Tensor, members: int | None = None
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What the critics say of actions, [E, B, outputs], and the pullback to the actions."""
    features, _ = vjp(critics.encoder, rows)
    values, pullback = ensemble_vjp(critics.ensemble, torch.cat((features, actions), -1), members)
    columns = slice(features.shape[1], None)
    return values, lambda gradient: pullback(gradient, columns=columns, parameters=False)


def actor_vjp(policy: Actor, rows: Tensors) -> tuple[Tensor, Callable[[Tensor], None]]:
    """Outputs of the actor [B, outputs], and the pullback to its parameters."""
    features, encoder_pullback = vjp(policy.encoder, rows)
    hidden, hidden_pullback = vjp(policy.hidden, features, input_gradient=policy.trained_encoder)
    outputs, head_pullback = vjp(policy.head, hidden, input_gradient=True)

    def pullback(gradient: Tensor) -> None:
        d_features = hidden_pullback(head_pullback(gradient))
        if policy.trained_encoder:
            encoder_pullback(d_features)

    return outputs, pullback


def ensemble_vjp(
    ensemble: Ensemble, x: Tensor, members: int | None = None
) -> tuple[Tensor, Callable[..., Tensor | None]]:
    """Outputs [E, B, outputs] of the first ``members``, and the pullback of their gradient.

    ``pullback(gradient, columns=None, parameters=True)`` overwrites the ``grad`` of all parameters, where
    ``parameters``, and returns the gradient [B, ...] of these ``columns`` of the input.
    """
    count = ensemble.count if members is None else members
    activation, activation_gradient = _ACTIVATIONS[ensemble.activation]
    layers = [(weight[:count], bias.view(ensemble.count, 1, -1)[:count]) for weight, bias in ensemble.layers]
    values = [x.expand(count, *x.shape)]
    for index, (weight, bias) in enumerate(layers):
        below = values[-1]
        if weight.shape[1] == 1:  # a product with a vector, which matrix products are slow at
            above = (below * weight).sum(-1, keepdim=True).add_(bias)
        else:
            above = torch.baddbmm(bias, below, weight.transpose(1, 2))
        values.append(activation(above) if index < len(layers) - 1 else above)

    def pullback(gradient: Tensor, columns: slice | None = None, parameters: bool = True) -> Tensor | None:
        for index in range(len(layers) - 1, -1, -1):
            weight, below = layers[index][0], values[index]
            if index < len(layers) - 1:
                gradient = activation_gradient(gradient, values[index + 1])
            if parameters:
                original, bias = ensemble.layers[index]
                torch.sum(gradient, 1, out=bias.grad.view(count, -1))
                if weight.shape[1] == 1:
                    torch.sum(gradient * below, 1, keepdim=True, out=original.grad)
                elif weight.shape[2] < weight.shape[1]:  # on CPUs a narrow matrix on the right costs twice as much
                    original.grad.copy_(torch.bmm(below.transpose(1, 2), gradient).transpose(1, 2))
                else:
                    torch.bmm(gradient.transpose(1, 2), below, out=original.grad)
            if index:
                gradient = gradient * weight if weight.shape[1] == 1 else torch.bmm(gradient, weight)
            elif columns is not None:
                return torch.bmm(gradient, weight[:, :, columns]).sum(0)
        return None

    return values[-1], pullback

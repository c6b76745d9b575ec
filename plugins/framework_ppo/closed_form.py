"""The gradients of the objectives in closed form, which tests compare with autograd's.

A minibatch is so small that autograd would spend most of its time on bookkeeping. So the objective is differentiated by
hand, and the networks by the rules of `framework.toolkit.vjp`, or by autograd where they have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.vjp import covers as has_rule
from framework.toolkit.vjp import rule, vjp
from framework_ppo.config import PPOConfig
from framework_ppo.imitation import Imitated, imitation_loss
from framework_ppo.minibatches import Rows, Sequences
from framework_ppo.objective import Predictions, Targets, ppo_loss
from framework_ppo.policy import ActorCritic, Evaluation


class Gradients(NamedTuple):
    """Gradients of an objective with respect to the predictions."""

    log_prob: Tensor  #: [B]
    entropy: float  #: the same for all steps
    values: Tensor  #: [B] or [B, S]


def ppo_gradients(new: Predictions, old: Targets, clip_range: float, options: PPOConfig) -> Gradients:
    """Gradients of `ppo_loss`.

    With respect to the log-probabilities they are ``-ratio * A / B`` where the ratio is within the clip range or moves
    back towards it, else 0.
    """
    ratio = (new.log_prob - old.log_prob).exp()
    surrogate = ratio * old.advantages
    beyond = surrogate > ratio.clamp_(1.0 - clip_range, 1.0 + clip_range).mul_(old.advantages)
    log_prob = surrogate.masked_fill_(beyond, 0.0).mul_(-1.0 / len(surrogate))

    errors = new.values - old.returns
    values = errors * (options.value_coefficient / len(errors))
    if options.value_clip_range is not None:
        moved = new.values - old.values
        clipped_errors = moved.clamp(-options.value_clip_range, options.value_clip_range)
        clipped_errors.add_(old.values).sub_(old.returns)
        values.mul_((moved.abs_() <= options.value_clip_range) | (errors.abs() > clipped_errors.abs_()))

    return Gradients(log_prob, -options.entropy_coefficient / len(errors), values)


def imitation_gradients(new: Predictions, past: Imitated, options: PPOConfig) -> Gradients:
    """Gradients of `imitation_loss`, whose policy loss has none with respect to the values."""
    environment_values = new.values.view(len(past.returns), -1)[:, 0]
    gaps = (past.returns - environment_values).clamp_(min=0.0)
    log_prob = gaps * past.weights * (-options.sil_coefficient / len(gaps))
    values = torch.zeros_like(new.values)
    values.view(len(gaps), -1)[:, 0] = options.sil_value_coefficient * log_prob
    return Gradients(log_prob, 0.0, values)


_GRADIENTS: dict[Callable[..., Any], Callable[..., Gradients]] = {
    ppo_loss: ppo_gradients,
    imitation_loss: imitation_gradients,
}


def covers(policy: ActorCritic, *objectives: Callable[..., Any]) -> bool:
    """Whether the gradients of these objectives are known for the actions of this policy."""
    return has_rule(policy.distribution) and all(objective in _GRADIENTS for objective in objectives)


class ClosedForm:
    """As `Autograd`, with the objective's gradients in closed form."""

    def __init__(self, policy: ActorCritic, optimizer: FlatOptimizer, loss_scale: LossScale | None):
        self._policy, self._optimizer, self._loss_scale = policy, optimizer, loss_scale

    def __call__(
        self, objective: Callable[..., Any], inputs: Rows | Sequences, actions: Tensor, *arguments: Any
    ) -> tuple[Predictions, dict[str, Tensor]]:
        """See `Autograd`."""
        evaluation, pullback = self._evaluate(inputs)
        log_prob, entropy, distribution_pullback = vjp(self._policy.distribution, evaluation.parameters, actions)
        new = Predictions(log_prob, entropy, evaluation.values.detach())
        gradients = _GRADIENTS[objective](new, *arguments)
        pullback(distribution_pullback(gradients.log_prob, gradients.entropy), gradients.values)
        return new, {name: loss.detach() for name, loss in evaluation.losses.items()}

    def _evaluate(self, inputs: Rows | Sequences) -> tuple[Evaluation, Callable[[Tensor, Tensor], None]]:
        """Evaluation, and the pullback of gradients of its parameters and values to the networks."""
        if self._policy.closed_form:
            assert isinstance(inputs, Rows)
            parameters, values, network_pullback = vjp(self._policy, inputs.observations, inputs.action_mask)
            return Evaluation(parameters, values, {}), network_pullback
        with torch.enable_grad():
            evaluation = inputs.evaluate(self._policy)

        def pullback(*gradients: Tensor) -> None:
            losses = list(evaluation.losses.values())
            if self._loss_scale is not None:
                scale = self._loss_scale.value
                gradients = tuple(x * scale for x in gradients)
                with torch.enable_grad():
                    losses = [loss * scale for loss in losses]
            self._optimizer.zero_grad()
            _backpropagate(evaluation.parameters, evaluation.values, *gradients, losses)

        return evaluation, pullback


@rule(ActorCritic)
def _(
    policy: ActorCritic, observations: Tensors, action_mask: Tensor | None
) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor], None]]:
    """Parameters and values of independent rows, and the pullback of both gradients."""
    rows = policy.normalized_rows(observations)
    features, encoder_pullback = vjp(policy.encoder, policy.views["policy"](rows))
    outputs, action_pullback = vjp(policy.action_head, features, input_gradient=True)
    value_features, value_encoder_pullback = features, None
    if policy.value_encoder is not None:
        value_features, value_encoder_pullback = vjp(policy.value_encoder, policy.views["value"](rows))
    values, value_pullback = vjp(policy.value_head, value_features, input_gradient=True)

    def pullback(d_parameters: Tensor, d_values: Tensor) -> None:
        if policy.log_std is not None:
            deviations = len(policy.log_std)
            d_parameters, d_log_std = d_parameters[:, :-deviations], d_parameters[:, -deviations:]
            if policy.log_std.grad is not None:
                torch.sum(d_log_std, 0, out=policy.log_std.grad)
        if action_mask is not None:
            d_parameters = d_parameters.masked_fill(~policy.legal(action_mask), 0.0)
        d_features = action_pullback(d_parameters)
        d_value_features = value_pullback(d_values.view(len(d_values), -1))
        if value_encoder_pullback is None:
            encoder_pullback(d_features.add_(d_value_features))
        else:
            encoder_pullback(d_features)
            value_encoder_pullback(d_value_features)

    return policy.distribution_parameters(outputs, action_mask), values.squeeze(-1), pullback


class _Seed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parameters: Tensor, values: Tensor, *gradients: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return parameters.new_zeros(())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*ctx.saved_tensors, None, None)


def _backpropagate(
    parameters: Tensor, values: Tensor, d_parameters: Tensor, d_values: Tensor, losses: Sequence[Tensor] = ()
) -> None:
    """Backpropagate the gradients of two outputs, and some losses beside them, through autograd's graph.

    ``torch.autograd.backward`` would do the same, but given gradients it imports a symbolic algebra system.
    """
    with torch.enable_grad():
        sum(losses, _Seed.apply(parameters, values, d_parameters, d_values)).backward()

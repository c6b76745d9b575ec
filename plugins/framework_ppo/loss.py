"""The clipped objective of PPO (Schulman et al., 2017, arXiv:1707.06347) and its gradient in closed form.

``L = -mean(min(ratio * A, clip(ratio, 1 - eps, 1 + eps) * A)) + c_v * mean((V - R)^2) / 2 - c_e * mean(H)``.
A minibatch is so small that autograd would spend most of its time on bookkeeping: what depends on the objective
alone is differentiated here by hand, and the networks take it from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def policy_gradient(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Gradient of the policy's loss by ``log_prob`` [B], and the logarithm of the ratio [B].

    It is ``-ratio * A / B`` where the ratio is within the clip range or moves back towards it, else 0.
    """
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    surrogate = ratio * advantages
    beyond = surrogate > ratio.clamp_(1.0 - clip, 1.0 + clip).mul_(advantages)
    return surrogate.masked_fill_(beyond, 0.0).mul_(-1.0 / len(surrogate)), log_ratio


def value_gradient(
    values: Tensor, returns: Tensor, old_values: Tensor, coefficient: float, clip: float | None
) -> tuple[Tensor, Tensor]:
    """Gradient of the values' loss by ``values`` [B], and their errors [B].

    Both are [B, S] for the values of S streams, whose losses are summed.
    With ``clip`` the loss is the larger one of two: of the value, and of the value kept within ``clip`` of the old one.
    """
    errors = values - returns
    gradient = errors * (coefficient / len(errors))
    if clip is not None:
        moved = values - old_values
        clipped_errors = moved.clamp(-clip, clip).add_(old_values).sub_(returns)
        gradient.mul_((moved.abs_() <= clip) | (errors.abs() > clipped_errors.abs_()))
    return gradient, errors


def standardized(advantages: Tensor, size: int) -> Tensor:
    """Each minibatch of ``size`` rows (the last may have fewer) with mean 0 and standard deviation 1."""
    whole = len(advantages) - len(advantages) % size
    groups = advantages[:whole].view(-1, size), advantages[whole:].view(1, -1)
    return torch.cat([_standardized(group).view(-1) for group in groups if group.numel()])


def _standardized(groups: Tensor) -> Tensor:
    variance, mean = torch.var_mean(groups, 1, correction=0, keepdim=True)
    deviation = variance.sqrt_()
    # A minibatch of equal advantages, but for rounding, has nothing to tell its actions apart: it must stay at zero.
    deviation.masked_fill_(deviation <= 1e-6 * mean.abs(), torch.inf)
    return (groups - mean).div_(deviation.add_(1e-8))


def summarize(log_ratio: Tensor, advantages: Tensor, errors: Tensor, entropy: Tensor, clip: float) -> dict[str, Tensor]:
    """The parts of the loss and what else tells how an update went, from the rows of all its minibatches."""
    ratio = log_ratio.exp()
    surrogate = torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages)
    return {
        "policy_loss": -surrogate.mean(),
        "value_loss": 0.5 * errors.square().mean(0).sum(),
        "entropy": entropy.mean(),
        "approximate_kl": (ratio - 1.0 - log_ratio).mean(),
        "clip_fraction": ((ratio - 1.0).abs() > clip).to(torch.float32).mean(),
    }


class _Seed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parameters: Tensor, values: Tensor, *gradients: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        return parameters.new_zeros(())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*ctx.saved_tensors, None, None)


def backpropagate(
    parameters: Tensor, values: Tensor, d_parameters: Tensor, d_values: Tensor, losses: Sequence[Tensor] = ()
) -> None:
    """Send the gradients of two outputs, and of some losses beside them, back through autograd's graph.

    ``torch.autograd.backward`` would do the same, but given gradients it imports a symbolic algebra system.
    """
    with torch.enable_grad():
        sum(losses, _Seed.apply(parameters, values, d_parameters, d_values)).backward()

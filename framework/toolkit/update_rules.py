"""Update rules of optimizers on flat tensors: Adam with both kinds of weight decay, RAdam and RMSprop.

Each is called as ``rule(x, gradient, moments, steps, ...)`` and changes the parameters ``x`` [size] and the ``moments``
[size] in place; ``steps`` [] counts this step already. Gradients are divided by ``divisor`` [] first; where
``overflow`` [] is 1, nothing changes. They compute what `torch.optim` does, which a test holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: ``kernel(parameters, gradients, first_moments, second_moments, maxima, steps, *, lr=..., ...)``, each a list.
Kernel = Callable[..., None]


class UpdateRule(NamedTuple):
    """How an optimizer changes the parameters."""

    update: Callable[..., None]
    moments: tuple[str, ...]  #: names of the running averages that it keeps of the gradients
    betas: tuple[float, float]  #: decay rates of the first and the second moment, unless other ones are given
    reads_steps: bool = False  #: whether it computes with the number of steps on the host, which must lie there then


def plain_adam(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first_moments: list[Tensor],
    second_moments: list[Tensor],
    _maxima: list[Tensor],
    steps: list[Tensor],
    *,
    decoupled: bool,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
    grad_scale: Tensor | None,
    found_inf: Tensor | None,
    **_: bool,
) -> None:
    """Algorithm 2 of Loshchilov and Hutter (2019, arXiv:1711.05101), with the arguments of torch's private kernels.

    Weight decay is ``decoupled`` (AdamW), or else added to the gradient (Adam with an L2 penalty). Gradients are
    divided by ``grad_scale``; where ``found_inf`` is 1, nothing changes.
    """
    if found_inf is not None and found_inf:
        return
    for x, gradient, first, second, step in zip(
        parameters, gradients, first_moments, second_moments, steps, strict=True
    ):
        if decoupled:
            g = _divided(gradient, grad_scale)
            x.mul_(1.0 - lr * weight_decay)
        else:
            g = _penalized(x, _divided(gradient, grad_scale), weight_decay)
        first.lerp_(g, 1.0 - beta1)
        second.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
        denominator = (second / (1.0 - beta2**step)).sqrt_().add_(eps)
        x.sub_(lr * (first / (1.0 - beta1**step)).div_(denominator))


#: Adam's step with either kind of weight decay: torch's kernels, which are private, or where torch has them no longer
#: the plain formula.
adamw_kernel: Kernel = getattr(torch, "_fused_adamw_", partial(plain_adam, decoupled=True))
adam_kernel: Kernel = getattr(torch, "_fused_adam_", partial(plain_adam, decoupled=False))


def adamw(x: Tensor, gradient: Tensor, moments: Sequence[Tensor], steps: Tensor, **options: Any) -> None:
    """AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""
    _call(adamw_kernel, x, gradient, moments, steps, **options)


def adam(x: Tensor, gradient: Tensor, moments: Sequence[Tensor], steps: Tensor, **options: Any) -> None:
    """Adam (Kingma and Ba, 2015, arXiv:1412.6980); weight decay is an L2 penalty, added to the gradient."""
    _call(adam_kernel, x, gradient, moments, steps, **options)


def radam(
    x: Tensor,
    gradient: Tensor,
    moments: Sequence[Tensor],
    steps: Tensor,
    *,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
    divisor: Tensor | None,
    overflow: Tensor | None,
) -> None:
    """Rectified Adam (Liu et al., 2020, arXiv:1908.03265, algorithm 2); weight decay is an L2 penalty.

    Until its variance is known, after 5 steps with the usual betas, the step is not divided by the second moment.
    """
    if overflow is not None and overflow:
        return
    first, second = moments
    g = _penalized(x, _divided(gradient, divisor), weight_decay)
    first.lerp_(g, 1.0 - betas[0])
    second.mul_(betas[1]).addcmul_(g, g, value=1.0 - betas[1])
    t = steps.item()
    bias = 1.0 - betas[1] ** t
    longest = 2.0 / (1.0 - betas[1]) - 1.0
    length = longest - 2.0 * t * (1.0 - bias) / bias
    rate = learning_rate / (1.0 - betas[0] ** t)
    if length > 5.0:
        variance = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length)
        x.addcdiv_(first, second.sqrt().add_(epsilon), value=-rate * math.sqrt(variance * bias))
    else:
        x.add_(first, alpha=-rate)


def rmsprop(
    x: Tensor,
    gradient: Tensor,
    moments: Sequence[Tensor],
    steps: Tensor,
    *,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
    divisor: Tensor | None,
    overflow: Tensor | None,
) -> None:
    """RMSprop (Tieleman and Hinton, 2012), not centered and without momentum; weight decay is an L2 penalty."""
    if overflow is not None and overflow:
        return
    (second,) = moments
    g = _penalized(x, _divided(gradient, divisor), weight_decay)
    second.mul_(betas[1]).addcmul_(g, g, value=1.0 - betas[1])
    x.addcdiv_(g, second.sqrt().add_(epsilon), value=-learning_rate)


_BOTH = ("first_moment", "second_moment")

#: Update rules by name.
RULES: dict[str, UpdateRule] = {
    "adamw": UpdateRule(adamw, _BOTH, (0.9, 0.999)),
    "adam": UpdateRule(adam, _BOTH, (0.9, 0.999)),
    "radam": UpdateRule(radam, _BOTH, (0.9, 0.999), reads_steps=True),
    "rmsprop": UpdateRule(rmsprop, ("second_moment",), (0.0, 0.99)),
}


def _call(
    kernel: Kernel,
    x: Tensor,
    gradient: Tensor,
    moments: Sequence[Tensor],
    steps: Tensor,
    *,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
    divisor: Tensor | None,
    overflow: Tensor | None,
) -> None:
    kernel(
        [x],
        [gradient],
        [moments[0]],
        [moments[1]],
        [],
        [steps],
        lr=learning_rate,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=weight_decay,
        eps=epsilon,
        amsgrad=False,
        maximize=False,
        grad_scale=divisor,
        found_inf=overflow,
    )


def _divided(gradient: Tensor, divisor: Tensor | None) -> Tensor:
    return gradient if divisor is None else gradient / divisor


def _penalized(x: Tensor, gradient: Tensor, weight_decay: float) -> Tensor:
    """The gradient with that of ``weight_decay * x ** 2 / 2`` added."""
    return gradient.add(x, alpha=weight_decay) if weight_decay else gradient

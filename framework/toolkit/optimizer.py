"""AdamW over all parameters of a module as one flat tensor.

A small network's optimizer step is mostly overhead: a dozen tensors, several operations each. With all parameters in
one tensor, the gradient norm is one operation and Adam another. It also spares every process the imports of a
`torch.optim` optimizer, among them the compiler: a second and 70 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_ALIGNMENT = 16  # elements: each parameter starts on a cache line of its own
_UNDECAYED = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


class FlatAdamW:
    """AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101), with gradients clipped by their global norm.

    From its creation on, the module's trainable parameters and their ``grad`` are views of `parameters` and
    `gradients`: load weights into them in place, and neither move the module nor set a ``grad`` to None (`check`
    tells). Biases and other vectors, norms and embeddings are excluded from weight decay. Parameters must share one
    dtype and one device, else `ValueError`.
    """

    parameters: Tensor  #: [size]
    gradients: Tensor  #: [size]

    def __init__(
        self,
        module: nn.Module,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        max_norm: float | None = None,
    ):
        self.betas, self.epsilon, self.weight_decay, self.max_norm = betas, epsilon, weight_decay, max_norm
        decayed, spared = _split(module)
        self._owned = decayed + spared
        if len({(parameter.dtype, parameter.device) for parameter in self._owned}) != 1:
            raise ValueError("the trainable parameters must be of one dtype and on one device, and there must be some")
        sizes = [-(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT for parameter in self._owned]
        self.parameters = self._owned[0].detach().new_zeros(sum(sizes))
        self.gradients = torch.zeros_like(self.parameters)
        self._places = []
        start = 0
        for parameter, size in zip(self._owned, sizes, strict=True):
            # The strides that a memory layout such as channels_last asks for are kept.
            layout = (parameter.shape, torch.empty_like(parameter).stride(), start)
            view, gradient = self.parameters.as_strided(*layout), self.gradients.as_strided(*layout)
            view.copy_(parameter.detach())
            parameter.data, parameter.grad = view, gradient
            self._places.append((view.data_ptr(), gradient.data_ptr()))
            start += size
        self._moments = torch.zeros_like(self.parameters), torch.zeros_like(self.parameters)
        self._steps = torch.zeros((), dtype=torch.float32, device=self.parameters.device)
        edge = sum(sizes[: len(decayed)]) if weight_decay else 0
        # What Adam's step takes: parameters, gradients and moments of each part with a weight decay of its own.
        flat = (self.parameters, self.gradients, *self._moments)
        self._segments = [
            ([[tensor[begin:end]] for tensor in flat], decay)
            for begin, end, decay in ((0, edge, weight_decay), (edge, start, 0.0))
            if end > begin
        ]

    def check(self) -> None:
        """Raise `RuntimeError` where a parameter or its ``grad`` is no longer the view that this optimizer changes."""
        for parameter, place in zip(self._owned, self._places, strict=True):
            if parameter.grad is None or (parameter.data_ptr(), parameter.grad.data_ptr()) != place:
                raise RuntimeError("a parameter was moved or replaced after its optimizer was made")

    def zero_grad(self) -> None:
        """Set all gradients to zero; autograd adds to them."""
        self.gradients.zero_()

    @torch.no_grad()
    def step(self, learning_rate: float, scale: LossScale | None = None) -> Tensor:
        """Update the parameters by `gradients`; returns the gradient norm before clipping, [].

        With ``scale``, gradients are those of the scaled loss: they are unscaled, and a step with an infinite or NaN
        gradient is skipped and changes the scale alone.
        """
        norm: Tensor = torch.linalg.vector_norm(self.gradients)
        divisor, overflow = None, None
        if scale is not None:
            norm.div_(scale.value)
            overflow = norm.isfinite().logical_not_().to(torch.float32)
        if self.max_norm is not None:
            divisor = (norm / self.max_norm).clamp_(min=1.0)
        if scale is not None:
            divisor = scale.value.clone() if divisor is None else divisor * scale.value
        self._steps += 1
        for (parameters, gradients, first_moment, second_moment), decay in self._segments:
            adamw(
                parameters,
                gradients,
                first_moment,
                second_moment,
                [],
                [self._steps],
                lr=learning_rate,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=decay,
                eps=self.epsilon,
                amsgrad=False,
                maximize=False,
                grad_scale=divisor,
                found_inf=overflow,
            )
        if scale is not None and overflow is not None:
            self._steps -= overflow
            scale.update(overflow)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Copies of the moments, one tensor for each parameter, and the number of steps."""
        return {
            "steps": self._steps.clone(),
            "first_moment": [view.clone() for view in self._views(self._moments[0])],
            "second_moment": [view.clone() for view in self._views(self._moments[1])],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; the parameters themselves belong to the module's state."""
        self._steps.copy_(state["steps"])
        for moment, saved in zip(self._moments, (state["first_moment"], state["second_moment"]), strict=True):
            for view, value in zip(self._views(moment), saved, strict=True):
                view.copy_(value)

    def _views(self, flat: Tensor) -> list[Tensor]:
        return [flat.as_strided(p.shape, p.stride(), p.storage_offset()) for p in self._owned]


def plain_adamw(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first_moments: list[Tensor],
    second_moments: list[Tensor],
    _maxima: list[Tensor],
    steps: list[Tensor],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
    grad_scale: Tensor | None,
    found_inf: Tensor | None,
    **_: bool,
) -> None:
    """Algorithm 2 of Loshchilov and Hutter (2019), with the arguments of torch's private kernel.

    Gradients are divided by ``grad_scale``; where ``found_inf`` is 1, nothing changes.
    """
    if found_inf is not None and found_inf:
        return
    for x, gradient, first, second, step in zip(
        parameters, gradients, first_moments, second_moments, steps, strict=True
    ):
        g = gradient if grad_scale is None else gradient / grad_scale
        x.mul_(1.0 - lr * weight_decay)
        first.lerp_(g, 1.0 - beta1)
        second.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
        denominator = (second / (1.0 - beta2**step)).sqrt_().add_(eps)
        x.sub_(lr * (first / (1.0 - beta1**step)).div_(denominator))


#: Takes Adam's step: torch's kernel, which is private, or where torch has it no longer the plain formula.
adamw: Callable[..., None] = getattr(torch, "_fused_adamw_", plain_adamw)


class LossScale:
    """Dynamic loss scaling for float16 (Micikevicius et al., 2018, arXiv:1710.03740), without synchronization.

    The scale is halved when gradients overflow, and doubled after ``growth_interval`` steps without overflow.
    """

    value: Tensor  #: [] float32

    def __init__(self, device: str | torch.device, initial: float = 2.0**16, growth_interval: int = 2000):
        self.value = torch.full((), initial, device=device)
        self._good = torch.zeros((), device=device)
        self._growth_interval = growth_interval

    def update(self, overflow: Tensor) -> None:
        """``overflow`` [] is 1 where the last step's gradients were not finite, else 0."""
        self._good.add_(1.0).mul_(1.0 - overflow)
        grow = (self._good >= self._growth_interval).to(torch.float32)
        self._good.mul_(1.0 - grow)
        self.value.mul_((1.0 - 0.5 * overflow) * (1.0 + grow))

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of everything that changes."""
        return {"value": self.value.clone(), "good": self._good.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self.value.copy_(state["value"])
        self._good.copy_(state["good"])


def _split(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trainable parameters with weight decay, and those without; each once."""
    decayed: dict[nn.Parameter, None] = {}
    spared: dict[nn.Parameter, None] = {}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if parameter.requires_grad and parameter not in decayed and parameter not in spared:
                (spared if parameter.ndim < 2 or isinstance(part, _UNDECAYED) else decayed)[parameter] = None
    return list(decayed), list(spared)

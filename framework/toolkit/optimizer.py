"""Optimizers over all parameters of a module as one flat tensor.

A small network's optimizer step is mostly overhead: a dozen tensors, several operations each. With all parameters in
one tensor, the gradient norm is one operation and Adam's step another. It also spares every process the imports of a
`torch.optim` optimizer, among them the compiler: a second and 70 MB.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from framework.toolkit.update_rules import RULES

_ALIGNMENT = 16  # elements: each parameter starts on a cache line of its own
_UNDECAYED = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


class FlatOptimizer:
    """An optimizer by one of the rules of `framework.toolkit.update_rules`, AdamW by default.

    Gradients are clipped by their global norm. From its creation on, the module's trainable parameters and their
    ``grad`` are views of `parameters` and `gradients`: load weights into them in place, and neither move the module nor
    set a ``grad`` to None (`check` tells). Biases and other vectors, norms and embeddings are excluded from weight
    decay. Parameters must share one dtype and one device, else `ValueError`.
    """

    parameters: Tensor  #: [size]
    gradients: Tensor  #: [size]

    def __init__(
        self,
        module: nn.Module,
        rule: str = "adamw",
        *,
        betas: tuple[float, float] | None = None,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        max_norm: float | None = None,
    ):
        self._rule = RULES[rule]
        self.betas = self._rule.betas if betas is None else betas
        self.epsilon, self.weight_decay, self.max_norm = epsilon, weight_decay, max_norm
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
        self._moments = [torch.zeros_like(self.parameters) for _ in self._rule.moments]
        counted_at = "cpu" if self._rule.reads_steps else self.parameters.device
        self._steps = torch.zeros((), dtype=torch.float32, device=counted_at)
        edge = sum(sizes[: len(decayed)]) if weight_decay else 0
        # What the rule takes: parameters, gradients and moments of each part with a weight decay of its own.
        self._segments = [
            (self.parameters[begin:end], self.gradients[begin:end], [x[begin:end] for x in self._moments], decay)
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
        for *segment, decay in self._segments:
            self._rule.update(
                *segment,
                self._steps,
                learning_rate=learning_rate,
                betas=self.betas,
                epsilon=self.epsilon,
                weight_decay=decay,
                divisor=divisor,
                overflow=overflow,
            )
        if scale is not None and overflow is not None:
            self._steps -= overflow.to(self._steps.device)
            scale.update(overflow)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Copies of the moments, one tensor for each parameter, and the number of steps."""
        moments = zip(self._rule.moments, self._moments, strict=True)
        return {
            "steps": self._steps.clone(),
            **{name: [view.clone() for view in self._views(moment)] for name, moment in moments},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; the parameters themselves belong to the module's state."""
        self._steps.copy_(state["steps"])
        for name, moment in zip(self._rule.moments, self._moments, strict=True):
            for view, value in zip(self._views(moment), state[name], strict=True):
                view.copy_(value)

    def _views(self, flat: Tensor) -> list[Tensor]:
        return [flat.as_strided(p.shape, p.stride(), p.storage_offset()) for p in self._owned]


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

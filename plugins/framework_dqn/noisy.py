"""Noisy networks: layers whose learned noise explores (Fortunato et al., 2018, arXiv:1706.10295)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.networks import ACTIVATIONS


class NoisyLinear(nn.Module):
    """Linear layer with factorised Gaussian noise, ``[B, inputs]`` -> ``[B, outputs]``.

    ``(W + S * f(e_out) f(e_in)^T) x + b + s * f(e_out)`` with ``f(e) = sign(e) sqrt(|e|)`` (section 3, equation 9 on);
    without the noise of `noise` it is ``W x + b``. W and b start uniform within ``1 / sqrt(inputs)``, S and s at
    ``std / sqrt(inputs)``.
    """

    #: f(e_in) and f(e_out): [inputs] and [outputs] for all rows, or with B rows one for each. See `noise`.
    noise: tuple[Tensor, Tensor] | None = None

    def __init__(self, inputs: int, outputs: int, std: float):
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_std = nn.Parameter(torch.full((outputs, inputs), std * bound))
        self.bias_std = nn.Parameter(torch.full((outputs,), std * bound))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.noise is None:
            return functional.linear(x, self.weight, self.bias)
        inputs, outputs = self.noise
        if inputs.ndim == 1:
            weight = torch.addcmul(self.weight, self.weight_std, torch.outer(outputs, inputs))
            return functional.linear(x, weight, torch.addcmul(self.bias, self.bias_std, outputs))
        # Factorised noise scales what goes in and what comes out: no row needs a matrix of its own.
        noise = outputs * functional.linear(inputs * x, self.weight_std, self.bias_std)
        return functional.linear(x, self.weight, self.bias) + noise

    def draw(self, generator: torch.Generator, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Noise of ``inputs`` and ``outputs``, [*rows, inputs] and [*rows, outputs]."""
        outputs, inputs = self.weight.shape
        device = self.weight.device
        samples = (torch.randn(*rows, size, generator=generator, device=device) for size in (inputs, outputs))
        first, second = (sample.sign() * sample.abs().sqrt() for sample in samples)
        return first, second


class NoisyMLP(nn.Module):
    """As `framework.toolkit.networks.MLP`, of noisy layers that start with ``std``."""

    def __init__(self, inputs: int, sizes: Sequence[int], activation: str, gain: float = math.sqrt(2.0), *, std: float):
        super().__init__()
        self.feature_dim = sizes[-1] if sizes else inputs
        shapes = zip((inputs, *sizes), sizes, strict=False)
        self.layers = nn.ModuleList(NoisyLinear(*shape, std) for shape in shapes)
        self._activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for layer in self.layers:
            x = self._activate(layer(x))
        return x


@contextmanager
def noise(generator: torch.Generator, layers: Sequence[NoisyLinear], rows: int | None = None) -> Iterator[None]:
    """Draws the noise of these layers, which they have inside; outside they have none.

    It is the same for all rows of a batch, as in the paper's DQN, or with ``rows`` another for each of so many.
    """
    try:
        for layer in layers:
            layer.noise = layer.draw(generator, () if rows is None else (rows,))
        yield
    finally:
        for layer in layers:
            layer.noise = None


def noisy_layers(network: nn.Module) -> list[NoisyLinear]:
    """The noisy layers of a network, in order."""
    return [module for module in network.modules() if isinstance(module, NoisyLinear)]

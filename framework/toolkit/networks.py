"""Building blocks of networks: initialization, activations, and multilayer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

#: Activations by name.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "elu": functional.elu,
    "leaky_relu": functional.leaky_relu,
    "gelu": functional.gelu,  # x * Phi(x), exactly (Hendrycks and Gimpel, 2016, arXiv:1606.08415)
    "silu": functional.silu,  # x * sigmoid(x), also named swish (Elfwing et al., 2018, arXiv:1702.03118)
    "identity": lambda x: x,
}


#: Initializations by name, see `initialization`.
INITIALIZATIONS = ("orthogonal", "uniform")
_initialization = ContextVar("initialization", default="orthogonal")


@contextmanager
def initialization(name: str) -> Iterator[None]:
    """Sets how `orthogonal` initializes the layers that are made inside, those of encoders too.

    ``"orthogonal"``: orthogonal weights, zero biases. ``"uniform"``: torch's default, weights and biases uniform within
    ``1 / sqrt(inputs)``.
    """
    token = _initialization.set(name)
    try:
        yield
    finally:
        _initialization.reset(token)


def orthogonal(layer: Layer, gain: float = math.sqrt(2.0)) -> Layer:
    """Orthogonal initialization of the layer's weights, zero biases (Saxe et al., 2014, arXiv:1312.6120); returns it.

    Inside `initialization` of another name the layer keeps torch's default.
    """
    if _initialization.get() != "orthogonal":
        return layer
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Module):
    """Multilayer perceptron, ``[..., inputs]`` -> ``[..., features]``, with the same activation after each layer.

    ``activation`` is one of `ACTIVATIONS`; ``"identity"`` makes a linear head.
    """

    def __init__(self, inputs: int, sizes: Sequence[int], activation: str = "tanh", gain: float = math.sqrt(2.0)):
        super().__init__()
        self.feature_dim = sizes[-1] if sizes else inputs
        layers = [orthogonal(nn.Linear(*shape), gain) for shape in zip((inputs, *sizes), sizes, strict=False)]
        self.layers = nn.ModuleList(layers)
        self.activation = activation
        #: Weight and bias of each layer: finding them through the modules takes longer than a small layer does.
        self.weights: list[tuple[Tensor, Tensor]] = [(layer.weight, layer.bias) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        activate = ACTIVATIONS[self.activation]
        for weight, bias in self.weights:
            x = activate(functional.linear(x, weight, bias))
        return x


class LayerNormMLP(MLP):
    """`MLP` with layer normalization between each layer and its activation (Ba et al., 2016, arXiv:1607.06450)."""

    def __init__(self, inputs: int, sizes: Sequence[int], activation: str = "tanh", gain: float = math.sqrt(2.0)):
        super().__init__(inputs, sizes, activation, gain)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        activate = ACTIVATIONS[self.activation]
        for (weight, bias), norm in zip(self.weights, self.norms, strict=True):
            x = activate(norm(functional.linear(x, weight, bias)))
        return x

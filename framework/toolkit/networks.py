"""Building blocks of networks: orthogonal initialisation, and fully connected layers that know their own gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

#: Gradient of the output [B, features] -> gradient of the input [B, inputs], or None where nobody asked for it.
Pullback = Callable[[Tensor], Tensor | None]


class Activation(NamedTuple):
    """A function applied to each output of a layer, whose derivative follows from its result."""

    apply: Callable[[Tensor], Tensor]  #: differentiable
    layer: Callable[[Tensor, Tensor, Tensor], Tensor]  #: (x, weight, bias) -> activated output, not differentiable
    backward: Callable[[Tensor, Tensor], Tensor]  #: (gradient, result) -> gradient of what it was applied to


_MINUS_ONE = torch.tensor(-1.0)


def _tanh_layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    # tanh(z) = 2 * sigmoid(2 * z) - 1: on CPUs torch's sigmoid takes a third of the time of its tanh.
    y = torch.addmm(bias, x, weight.t(), alpha=2.0, beta=2.0).sigmoid_()
    return torch.add(_MINUS_ONE, y, alpha=2.0, out=y)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, x, weight.t())


_aten = torch.ops.aten

#: Activations by name.
ACTIVATIONS = {
    "tanh": Activation(torch.tanh, _tanh_layer, _aten.tanh_backward),
    "relu": Activation(
        torch.relu,
        lambda x, weight, bias: _linear(x, weight, bias).relu_(),
        lambda gradient, y: _aten.threshold_backward(gradient, y, 0),
    ),
    "elu": Activation(
        functional.elu,
        lambda x, weight, bias: functional.elu_(_linear(x, weight, bias)),
        lambda gradient, y: _aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, y),
    ),
    "leaky_relu": Activation(
        functional.leaky_relu,
        lambda x, weight, bias: functional.leaky_relu_(_linear(x, weight, bias)),
        lambda gradient, y: _aten.leaky_relu_backward(gradient, y, 0.01, True),
    ),
    "identity": Activation(lambda x: x, _linear, lambda gradient, y: gradient),
}


#: How weights can be drawn at first: see `initialization`.
INITIALIZATIONS = ("orthogonal", "uniform")
_initialization = ContextVar("initialization", default="orthogonal")


@contextmanager
def initialization(name: str) -> Iterator[None]:
    """How `orthogonal` leaves the layers that are made here, those of encoders too.

    ``"orthogonal"``: as it says. ``"uniform"``: as torch makes them, weights and biases uniform within
    ``1 / sqrt(inputs)``.
    """
    token = _initialization.set(name)
    try:
        yield
    finally:
        _initialization.reset(token)


def orthogonal(layer: Layer, gain: float = math.sqrt(2.0)) -> Layer:
    """Give the layer orthogonal weights and no bias (Saxe et al., 2014, arXiv:1312.6120); returns it.

    Inside `initialization` of another name the layer stays as torch has made it.
    """
    if _initialization.get() != "orthogonal":
        return layer
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Module):
    """Fully connected layers, the same activation after each: ``[..., inputs]`` -> ``[..., features]``.

    ``activation`` is one of `ACTIVATIONS`; ``"identity"`` makes the linear head of a network.
    """

    def __init__(self, inputs: int, sizes: Sequence[int], activation: str = "tanh", gain: float = math.sqrt(2.0)):
        super().__init__()
        self.features = sizes[-1] if sizes else inputs
        layers = [orthogonal(nn.Linear(*shape), gain) for shape in zip((inputs, *sizes), sizes, strict=False)]
        self.layers = nn.ModuleList(layers)
        self._activation = ACTIVATIONS[activation]
        # The layers' own parameters: finding them through the modules takes longer than a small layer does.
        self._parts: list[tuple[Tensor, Tensor]] = [(layer.weight, layer.bias) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers."""
        activate = self._activation.apply
        for weight, bias in self._parts:
            x = activate(functional.linear(x, weight, bias))
        return x

    def vjp(self, x: Tensor, *, input_gradient: bool = False) -> tuple[Tensor, Pullback]:
        """`forward` of ``x`` [B, inputs] float32, and its gradient in closed form, without autograd.

        Autograd's bookkeeping costs as much as the arithmetic of small layers. The pullback **overwrites** the
        ``grad`` of each parameter that has one (see `framework.toolkit.optimizer.FlatAdamW`) and skips the others.
        Call both without gradient recording, and the pullback before the parameters change.
        """
        _, layer, backward = self._activation
        values = [x]
        for weight, bias in self._parts:
            values.append(layer(values[-1], weight, bias))

        def pullback(gradient: Tensor) -> Tensor | None:
            for index in range(len(self._parts) - 1, -1, -1):
                weight, bias = self._parts[index]
                below = values[index]
                gradient = backward(gradient, values[index + 1])
                if bias.grad is not None:
                    torch.sum(gradient, 0, out=bias.grad)
                if weight.grad is not None:
                    # Both orders give the same product; on CPUs a narrow matrix on the right costs four times as much.
                    if below.shape[1] < gradient.shape[1]:
                        torch.mm(below.t(), gradient, out=weight.grad.t())
                    else:
                        torch.mm(gradient.t(), below, out=weight.grad)
                if index or input_gradient:
                    gradient = gradient @ weight
            return gradient if input_gradient else None

        return values[-1], pullback

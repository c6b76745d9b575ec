"""The convolutional network of the Nature DQN paper (Mnih et al., 2015), for images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Tensors
from framework.toolkit.networks import MLP, orthogonal
from framework.toolkit.vjp import Pullback, rule, vjp
from framework_encoders.config import CNNConfig
from framework_encoders.images import ImageEncoder, ImageLayout

_aten = torch.ops.aten


class CNN(ImageEncoder):
    """Convolutions without padding, then one fully connected layer, each followed by a ReLU."""

    def tower(self, name: str, layout: ImageLayout, config: CNNConfig) -> nn.Module:
        """`Convolutions`; `FrameworkError` where the image is too small for them."""
        needed = 1
        for kernel, stride in zip(reversed(config.kernels), reversed(config.strides), strict=True):
            needed = (needed - 1) * stride + kernel
        if min(layout.height, layout.width) < needed:
            raise FrameworkError(
                f"the image {name!r} has {layout.height} x {layout.width} pixels, but kernels {list(config.kernels)} "
                f"with strides {list(config.strides)} need at least {needed} x {needed}; for small images set for "
                "example kernels = [2, 2, 2] and strides = [1, 1, 1]"
            )
        return Convolutions(layout, config)


class Convolutions(nn.Module):
    """[B, C, H, W] -> [B, features]."""

    def __init__(self, layout: ImageLayout, config: CNNConfig):
        super().__init__()
        channels, height, width = layout.channels, layout.height, layout.width
        layers = []
        for after, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
            layers.append(orthogonal(nn.Conv2d(channels, after, kernel, stride)))
            channels, height, width = after, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        self.convolutions = nn.ModuleList(layers)
        self.head = MLP(math.prod((channels, height, width)), (config.features,), "relu")
        self.feature_dim = config.features
        self.factor = layout.factor(config.scale)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for layer, weight in zip(self.convolutions, self.weights(), strict=True):
            x = torch.relu_(torch.conv2d(x, weight, layer.bias, layer.stride))
        return self.head.forward(_flat(x))

    def weights(self) -> list[Tensor]:
        """Weights of the convolutions; those of the first include the scaling of pixels, as there are fewer weights."""
        first, *following = (layer.weight for layer in self.convolutions)
        return [first if self.factor == 1.0 else first * self.factor, *following]


def _flat(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H * W * C], as it lies in memory."""
    return x.permute(0, 2, 3, 1).flatten(1)


@rule(CNN)
def _(encoder: CNN, observation: Tensors) -> tuple[Tensor, Pullback]:
    results = [vjp(tower, image) for tower, image in zip(encoder.towers, encoder.images(observation), strict=True)]
    if encoder.layers is not None and encoder.vectors is not None:
        results.append(vjp(encoder.layers, encoder.vectors(observation).flatten(0, 1)))
    features, pullbacks = zip(*results, strict=True)

    def pullback(gradient: Tensor) -> None:
        parts = gradient.split([part.shape[1] for part in features], -1)
        for pull, part in zip(pullbacks, parts, strict=True):
            pull(part)

    return features[0] if len(features) == 1 else torch.cat(features, -1), pullback


@rule(Convolutions)
def _(tower: Convolutions, x: Tensor) -> tuple[Tensor, Pullback]:
    """Autograd would write the gradient of each ReLU to new memory, which is most of what is not arithmetic here."""
    weights = tower.weights()
    values = [x]
    for layer, weight in zip(tower.convolutions, weights, strict=True):
        values.append(torch.relu_(torch.conv2d(values[-1], weight, layer.bias, layer.stride)))
    features, head_pullback = vjp(tower.head, _flat(values[-1]), input_gradient=True)

    def pullback(gradient: Tensor) -> None:
        top = values[-1]
        gradient = head_pullback(gradient).view(*top.shape[:1], *top.shape[2:], top.shape[1]).permute(0, 3, 1, 2)
        for index in range(len(weights) - 1, -1, -1):
            layer = tower.convolutions[index]
            _aten.threshold_backward.grad_input(gradient, values[index + 1], 0, grad_input=gradient)
            gradient, d_weight, d_bias = _aten.convolution_backward(
                gradient, values[index], weights[index], layer.bias.shape, layer.stride, layer.padding,
                layer.dilation, False, (0, 0), 1, (index > 0, True, True),
            )  # fmt: skip
            if layer.weight.grad is not None:
                layer.weight.grad.copy_(d_weight if index else d_weight.mul_(tower.factor))
            if layer.bias.grad is not None:
                layer.bias.grad.copy_(d_bias)

    return features, pullback

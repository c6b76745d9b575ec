"""The convolutional network of the Nature DQN paper (Mnih et al., 2015), for images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Tensors
from framework.toolkit.networks import MLP, LayerNormMLP, orthogonal
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

    def vector_layers(self, width: int, config: CNNConfig) -> MLP:
        """See `ImageEncoder`."""
        return _layers(config)(width, config.hidden, "relu")


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
        #: Of the channels at each place, after each convolution; none without `layer_norm`.
        self.norms = nn.ModuleList(map(nn.LayerNorm, config.channels if config.layer_norm else ()))
        self.head = _layers(config)(math.prod((channels, height, width)), (config.features,), "relu")
        self.feature_dim = config.features
        self.factor = layout.factor(config.scale)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for index, (layer, weight) in enumerate(zip(self.convolutions, self.weights(), strict=True)):
            x = torch.conv2d(x, weight, layer.bias, layer.stride)
            if self.norms:
                x = _channels_first(self.norms[index](_channels_last(x)))
            x = torch.relu_(x)
        return self.head.forward(_flat(x))

    def weights(self) -> list[Tensor]:
        """Weights of the convolutions; those of the first include the scaling of pixels, as there are fewer weights."""
        first, *following = (layer.weight for layer in self.convolutions)
        return [first if self.factor == 1.0 else first * self.factor, *following]


def _layers(config: CNNConfig) -> type[MLP]:
    return LayerNormMLP if config.layer_norm else MLP


def _channels_last(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H, W, C], as it lies in memory."""
    return x.permute(0, 2, 3, 1)


def _channels_first(x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, C, H, W]; it stays where it is."""
    return x.permute(0, 3, 1, 2)


def _flat(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H * W * C], as it lies in memory."""
    return _channels_last(x).flatten(1)


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
    values, norm_pullbacks = [x], []
    for index, (layer, weight) in enumerate(zip(tower.convolutions, weights, strict=True)):
        x = torch.conv2d(values[-1], weight, layer.bias, layer.stride)
        if tower.norms:
            normalized, norm_pullback = vjp(tower.norms[index], _channels_last(x).contiguous())
            x = _channels_first(normalized)
            norm_pullbacks.append(norm_pullback)
        values.append(torch.relu_(x))
    features, head_pullback = vjp(tower.head, _flat(values[-1]), input_gradient=True)

    def pullback(gradient: Tensor) -> None:
        top = values[-1]
        gradient = head_pullback(gradient).view(*top.shape[:1], *top.shape[2:], top.shape[1])
        gradient = _channels_first(gradient)
        for index in range(len(weights) - 1, -1, -1):
            layer = tower.convolutions[index]
            _aten.threshold_backward.grad_input(gradient, values[index + 1], 0, grad_input=gradient)
            if norm_pullbacks:
                gradient = _channels_first(norm_pullbacks[index](_channels_last(gradient).contiguous()))
            gradient, d_weight, d_bias = _aten.convolution_backward(
                gradient, values[index], weights[index], layer.bias.shape, layer.stride, layer.padding,
                layer.dilation, False, (0, 0), 1, (index > 0, True, True),
            )  # fmt: skip
            if layer.weight.grad is not None:
                layer.weight.grad.copy_(d_weight if index else d_weight.mul_(tower.factor))
            if layer.bias.grad is not None:
                layer.bias.grad.copy_(d_bias)

    return features, pullback

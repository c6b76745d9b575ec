"""The convolutional network of the Nature DQN paper (Mnih et al., 2015), for images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.errors import FrameworkError
from framework.toolkit.networks import orthogonal
from framework_encoders.config import CNNConfig
from framework_encoders.images import ImageEncoder, ImageLayout, scaled_convolution


class CNN(ImageEncoder):
    """Convolutions without padding, each followed by a ReLU, then one fully connected layer with a ReLU."""

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
        self.linear = orthogonal(nn.Linear(math.prod((channels, height, width)), config.features))
        self.features = config.features
        self._factor = layout.factor(config.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers."""
        factor = self._factor
        for layer in self.convolutions:
            x = torch.relu_(scaled_convolution(x, layer, factor))
            factor = 1.0
        # Flattened as it lies in memory, channels last.
        return functional.relu(self.linear(x.permute(0, 2, 3, 1).flatten(1)))

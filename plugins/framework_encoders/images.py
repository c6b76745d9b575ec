"""Base of the image encoders: image layouts, one tower per image, and an MLP for all other observations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoding, Tensors
from framework.toolkit.networks import MLP
from framework_encoders.config import ImageConfig
from framework_encoders.vectors import Vectors


def is_image(space: spaces.Space) -> bool:
    """A Box with three axes, or with two whose values are bytes."""
    axes = len(space.shape or ()) if isinstance(space, spaces.Box) else 0
    return axes == 3 or (axes == 2 and space.dtype == np.uint8)


class ImageLayout:
    """Layout of one leaf's images, and their conversion to [B, C, H, W]."""

    def __init__(self, space: spaces.Box, layout: str):
        shape = space.shape
        self.axes = len(shape)
        self.channels_last = self.axes == 3 and (shape[2] < shape[0] if layout == "auto" else layout == "last")
        if self.axes == 2:
            shape = (1, *shape)
        self.channels, self.height, self.width = (shape[2], *shape[:2]) if self.channels_last else shape
        self.integers = np.issubdtype(space.dtype, np.integer)

    def factor(self, scale: float) -> float:
        """Factor of the pixels: ``1 / scale`` for integers, 1 for floats."""
        return 1.0 / scale if self.integers else 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """``[T, N, ...]`` of the space's dtype -> ``[T * N, C, H, W]`` float32 in the channels_last memory format.

        Values stay as they are: dividing them would cost another pass over the largest array there is.
        """
        x = x.reshape(-1, *x.shape[2:])
        if self.axes == 2:
            x = x.unsqueeze(-1)
        elif not self.channels_last:
            # Transposed before it is converted: bytes are a quarter of what floats are.
            x = torch.stack(x.unbind(1), -1)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else torch.float32
        return x.to(dtype).permute(0, 3, 1, 2)


class ImageEncoder(nn.Module):
    """One tower per image, an `MLP` over all other leaves; their features are concatenated.

    A tower turns ``[B, C, H, W]`` into ``[B, tower.feature_dim]``.
    """

    def __init__(self, config: ImageConfig, context: Context):
        super().__init__()
        images = {name: space for name, space in sorted(context.observation_space.items()) if is_image(space)}
        vectors = {name: space for name, space in context.observation_space.items() if name not in images}
        if not images:
            raise FrameworkError(
                "the observation holds no image (a Box of three axes, or of two axes of bytes): "
                f"{_listed(context.observation_space)}; use another encoder, such as mlp"
            )
        self._layouts = {name: ImageLayout(space, config.layout) for name, space in images.items()}
        self.towers = nn.ModuleList(self.tower(name, layout, config) for name, layout in self._layouts.items())
        self.vectors = Vectors(vectors) if vectors else None
        self.layers = self.vector_layers(self.vectors.width, config) if self.vectors else None
        self.feature_dim = sum(tower.feature_dim for tower in self.towers) + (
            self.layers.feature_dim if self.layers else 0
        )
        self.to(memory_format=torch.channels_last)

    @abstractmethod
    def tower(self, name: str, layout: ImageLayout, config: Any) -> nn.Module:
        """The tower of one leaf's images."""

    def vector_layers(self, width: int, config: Any) -> MLP:
        """The layers for all other leaves, which are ``width`` numbers."""
        return MLP(width, config.hidden, "relu")

    def initial_memory(self, count: int) -> Tensors:
        """None: stateless."""
        return {}

    def images(self, observation: Tensors) -> list[Tensor]:
        """The input of each tower, see `ImageLayout`."""
        return [layout(observation[name]) for name, layout in self._layouts.items()]

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F]."""
        parts = [tower(image) for tower, image in zip(self.towers, self.images(observation), strict=True)]
        if self.layers is not None and self.vectors is not None:
            parts.append(self.layers(self.vectors(observation).flatten(0, 1)))
        features = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        return Encoding(features.view(*first.shape, self.feature_dim)), memory


def scaled_convolution(x: Tensor, layer: nn.Conv2d, factor: float) -> Tensor:
    """``layer(x * factor)``, by scaling the few weights in place of the many pixels."""
    weight = layer.weight if factor == 1.0 else layer.weight * factor
    return functional.conv2d(x, weight, layer.bias, layer.stride, layer.padding)


def _listed(leaves: Mapping[str, spaces.Space]) -> str:
    return ", ".join(f"{name!r} is {space}" for name, space in leaves.items())

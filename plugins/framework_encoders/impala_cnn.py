"""The residual network of the IMPALA paper (Espeholt et al., 2018), for images of any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.networks import orthogonal
from framework_encoders.config import ImpalaCNNConfig
from framework_encoders.images import ImageEncoder, ImageLayout, scaled_convolution


class ImpalaCNN(ImageEncoder):
    """Sections of convolution, max-pooling and two residual blocks, then one fully connected layer with a ReLU."""

    def tower(self, name: str, layout: ImageLayout, config: ImpalaCNNConfig) -> nn.Module:
        """`Residual`; no image is too small, as everything is padded."""
        return Residual(layout, config)


class Residual(nn.Module):
    """[B, C, H, W] -> [B, features]."""

    def __init__(self, layout: ImageLayout, config: ImpalaCNNConfig):
        super().__init__()
        channels, height, width = layout.channels, layout.height, layout.width
        entries, blocks = [], []
        for after in config.channels:
            entries.append(nn.Conv2d(channels, after, 3, padding=1))
            blocks.append(nn.Sequential(Block(after), Block(after)))
            channels, height, width = after, (height + 1) // 2, (width + 1) // 2
        self.entries, self.blocks = nn.ModuleList(entries), nn.ModuleList(blocks)
        self.linear = orthogonal(nn.Linear(channels * height * width, config.features))
        self.feature_dim = config.features
        self._factor = layout.factor(config.scale)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        factor = self._factor
        for entry, blocks in zip(self.entries, self.blocks, strict=True):
            x = blocks(functional.max_pool2d(scaled_convolution(x, entry, factor), 3, stride=2, padding=1))
            factor = 1.0
        # Flattened as it lies in memory, channels last.
        return functional.relu(self.linear(torch.relu(x).permute(0, 2, 3, 1).flatten(1)))


class Block(nn.Module):
    """``x`` plus two convolutions of it, each after a ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return x + self.second(torch.relu(self.first(torch.relu(x))))

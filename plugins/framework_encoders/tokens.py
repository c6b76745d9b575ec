"""Leaves of an observation as tokens: feature vectors, ids, image patches, and single vectors."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from framework.errors import FrameworkError
from framework.toolkit.networks import orthogonal
from framework_encoders.images import ImageLayout, is_image, scaled_convolution
from framework_encoders.vectors import Vectors

#: The largest number of default patches along a side of an image.
_GRID = 8
#: Integers of a wider range are numbers, not ids.
_VOCABULARY = 65_536
_SCALE = 0.1

Kind = Literal["image", "numbers", "ids", "vector"]


def kind_of(space: spaces.Space) -> Kind:
    """What kind of tokens a leaf has.

    ``"image"``: see `is_image`; ``"numbers"``: a Box with two axes, [tokens, features]; ``"ids"``: [tokens] integers of
    a Box, or of a MultiDiscrete with as many choices for each; ``"vector"``: all else.
    """
    if is_image(space):
        return "image"
    if isinstance(space, spaces.Box) and len(space.shape) == 2:
        return "numbers"
    same = isinstance(space, spaces.Box) or (
        isinstance(space, spaces.MultiDiscrete) and space.nvec.size > 1 and len(set(space.nvec.flat)) == 1
    )
    return "ids" if same and are_integers(space) and vocabulary(space)[0] <= _VOCABULARY else "vector"


def are_integers(space: spaces.Space) -> bool:
    """Whether it is a row of integers: a Box of them, MultiDiscrete or MultiBinary, with one axis."""
    row = isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary) and len(space.shape or ()) == 1
    return row and bool(np.issubdtype(space.dtype, np.integer))


def vocabulary(space: spaces.Space) -> tuple[int, list[int]]:
    """Vocabulary size of a row of integers, and the smallest id of each token."""
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.max()), [int(start) for start in space.start]
    low, high = (0, 1) if isinstance(space, spaces.MultiBinary) else (int(space.low.min()), int(space.high.max()))
    return high - low + 1, [low] * space.shape[0]


def check_integers(name: str, x: Tensor) -> Tensor:
    """The values of a leaf that must not have been normalised; raises `FrameworkError` where they were."""
    if x.is_floating_point():
        raise FrameworkError(
            f"the observation {name!r} must be integers or booleans, but comes as {x.dtype}: do not normalise it "
            "(normalize_observations), or make it a MultiDiscrete or MultiBinary space, which never is"
        )
    return x


class Ids(nn.Module):
    """Embedding of ids, [B, K] integers -> [B, K, width]."""

    def __init__(self, name: str, space: spaces.Space, width: int):
        super().__init__()
        size, starts = vocabulary(space)
        if size > _VOCABULARY:
            raise FrameworkError(
                f"the token ids {name!r} range over {size} values, more than {_VOCABULARY}: "
                f"narrow the bounds of their space, {space}"
            )
        self.count = len(starts)
        self._name = name
        self._starts = starts if len(set(starts)) > 1 else starts[0]
        self.table = embedding(size, width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class; an id outside of the space is an ``IndexError`` of torch's."""
        ids = check_integers(self._name, x).to(torch.int64)
        return self.table(ids if self._starts == 0 else ids - torch.as_tensor(self._starts, device=x.device))


class Numbers(nn.Module):
    """Linear projection of feature vectors, [B, K, features] -> [B, K, width]."""

    def __init__(self, space: spaces.Box, width: int):
        super().__init__()
        self.count, features = space.shape
        self.linear = orthogonal(nn.Linear(features, width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.linear(x.to(torch.float32))


class Vector(nn.Module):
    """A leaf as one token, [B, ...] -> [B, 1, width], see `Vectors`."""

    count = 1

    def __init__(self, space: spaces.Space, width: int):
        super().__init__()
        self._vectors = Vectors({"": space})
        self.linear = orthogonal(nn.Linear(self._vectors.width, width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.linear(self._vectors({"": x.unsqueeze(1)}))


class Grid(nn.Module):
    """Patch embedding of images, [B, ...] -> [B, K, width], row by row, as in ViT (arXiv:2010.11929).

    A convolution over 3 x 3 patches follows, as early convolutions make transformers of images easier to train (Xiao
    et al., 2021, arXiv:2106.14881). Where patches do not divide a side, the image is padded with zeros.

    On CPUs all-zero images are encoded only once: images that are shown on request mostly are. On other devices finding
    them would cost more, as it takes a synchronization.
    """

    def __init__(self, space: spaces.Box, width: int, patch: int | None, layout: str, scale: float):
        super().__init__()
        self._layout = ImageLayout(space, layout)
        height, width_ = self._layout.height, self._layout.width
        patch = patch or math.ceil(max(height, width_) / _GRID)
        self._filling = (0, -width_ % patch, 0, -height % patch)
        self._factor = self._layout.factor(scale)
        self.count = math.ceil(height / patch) * math.ceil(width_ / patch)
        self.patches = orthogonal(nn.Conv2d(self._layout.channels, width, patch, patch))
        self.neighbours = orthogonal(nn.Conv2d(width, width, 3, padding=1), 1.0)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if torch.compiler.is_compiling() or x.device.type != "cpu":
            return self._tokens(x)
        shown = (x != 0).flatten(1).any(1)
        if bool(shown.all()):
            return self._tokens(x)
        tokens = self._tokens(torch.cat((torch.zeros_like(x[:1]), x[shown])))
        return tokens[torch.where(shown, shown.cumsum(0), 0)]

    def _tokens(self, x: Tensor) -> Tensor:
        x = functional.pad(self._layout(x.unsqueeze(0)), self._filling)
        x = torch.relu(scaled_convolution(x, self.patches, self._factor))
        return (x + self.neighbours(x)).permute(0, 2, 3, 1).flatten(1, 2)


class Placed(nn.Module):
    """Tokens plus a learned positional embedding."""

    def __init__(self, source: nn.Module, width: int):
        super().__init__()
        self.count = source.count
        self.source = source
        self.places = embedding(self.count, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, K, width]."""
        return self.source(x) + self.places.weight


def embedding(count: int, width: int) -> nn.Embedding:
    """An embedding with small random vectors; being an ``nn.Embedding``, it is excluded from weight decay."""
    table = nn.Embedding(count, width)
    nn.init.normal_(table.weight, std=_SCALE)
    return table

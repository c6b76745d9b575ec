"""Observations that are no images as one vector."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from gymnasium import spaces
from torch import Tensor


class Vectors:
    """Concatenated leaves of an observation, in the order of their names: ``{name: [T, N, ...]}`` -> ``[T, N, width]``.

    Box and MultiBinary leaves are flattened as they are; Discrete and MultiDiscrete leaves become one-hot vectors.
    """

    def __init__(self, leaves: Mapping[str, spaces.Space]):
        self._leaves = [(name, _Leaf(space)) for name, space in sorted(leaves.items())]
        self.width = sum(leaf.width for _, leaf in self._leaves)

    def __call__(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Observations of any dtype -> float32."""
        parts = [leaf(observation[name]) for name, leaf in self._leaves]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


class _Leaf:
    def __init__(self, space: spaces.Space):
        self._axes = len(space.shape or ())
        self._offset: int | list[int] | None = None
        if isinstance(space, spaces.Discrete):
            self.width, self._offset = int(space.n), -int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            sizes = space.nvec.reshape(-1)
            self.width, self._offset = int(sizes.sum()), (sizes.cumsum() - sizes - space.start.reshape(-1)).tolist()
        else:
            self.width = math.prod(space.shape or ())

    def __call__(self, x: Tensor) -> Tensor:
        if self._axes != 1:
            x = x.unsqueeze(-1) if self._axes == 0 else x.flatten(-self._axes)
        if self._offset is None:
            return x if x.dtype is torch.float32 else x.to(torch.float32)
        index = x + torch.as_tensor(self._offset, device=x.device)
        return torch.zeros(*x.shape[:-1], self.width, device=x.device).scatter_(-1, index, 1.0)

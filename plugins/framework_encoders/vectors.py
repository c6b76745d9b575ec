"""Observations that are no images, as one vector."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn


class Vectors(nn.Module):
    """Leaves of an observation side by side, in the order of their names: ``{name: [T, N, ...]}`` -> ``[T, N, width]``.

    Box and MultiBinary leaves are flattened as they are; Discrete and MultiDiscrete leaves become one-hot vectors.
    """

    def __init__(self, leaves: Mapping[str, spaces.Space]):
        super().__init__()
        self._leaves = []
        self.width = 0
        for index, (name, space) in enumerate(sorted(leaves.items())):
            if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
                sizes = np.ravel(space.n if isinstance(space, spaces.Discrete) else space.nvec).astype(np.int64)
                offsets = np.concatenate(([0], np.cumsum(sizes)[:-1])) - np.ravel(space.start)
                # Where each choice's "one" stands, as a buffer so that it moves with the module.
                self.register_buffer(f"_offsets_{index}", torch.from_numpy(offsets), persistent=False)
                width, one_hot = int(sizes.sum()), True
            else:
                width, one_hot = math.prod(space.shape or ()), False
            self._leaves.append((name, index, len(space.shape or ()), width, one_hot))
            self.width += width

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Observations of any dtype -> float32."""
        parts = []
        for name, index, axes, width, one_hot in self._leaves:
            x = observation[name]
            if axes != 1:
                x = x.reshape(*x.shape[: x.ndim - axes], -1)
            if one_hot:
                empty = torch.zeros(*x.shape[:-1], width, device=x.device)
                x = empty.scatter_(-1, x + getattr(self, f"_offsets_{index}"), 1.0)
            parts.append(x.to(torch.float32))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

"""A wrapper that leaves a part of an observation out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class KeepEntries(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Keeps some entries of a vector, by their indices: positions without velocities, say, which take a memory then.

    Raises ValueError where the observation is no `Box` with one axis, or has no such entry.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], indices: Sequence[int]):
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise ValueError(f"its observations are {space}, not a Box with one axis")
        size = space.shape[0]
        if not indices or not all(-size <= index < size for index in indices):
            raise ValueError(f"indices must name some of its {size} entries, 0 to {size - 1}, not {list(indices)}")
        self._indices = np.array(indices)
        self.observation_space = Box(space.low[self._indices], space.high[self._indices], dtype=space.dtype.type)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """The entries that are kept, as a copy."""
        return observation[self._indices]

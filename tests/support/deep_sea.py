"""Deep sea: a grid whose far corner is found by exploring only."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class DeepSea(gymnasium.Env[Any, Any]):
    """Diving from the upper left corner of a square of ``size`` cells a side (Osband et al., 2020, arXiv:1908.03568).

    Each of ``size`` steps goes one row down, and one column left or right, within the square; which action is which
    differs from cell to cell, and is the same in all environments. Going right costs 0.01 / size, ending in the lower
    right corner pays 1. Observations are one-hot [size, size]. ``visited`` holds the cells that any environment of the
    process was in, and ``episodes`` counts them.
    """

    visited: ClassVar[set[tuple[int, int]]] = set()
    episodes = 0

    def __init__(self, size: int = 20):
        self.size = size
        self.observation_space = Box(0, 1, (size * size,), np.float32)
        self.action_space = Discrete(2)
        self._right_actions = np.random.default_rng(0).integers(2, size=(size, size))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.row = self.column = 0
        DeepSea.episodes += 1
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        goes_right = action == self._right_actions[self.row, self.column]
        self.column = min(max(self.column + (1 if goes_right else -1), 0), self.size - 1)
        self.row += 1
        over = self.row == self.size
        reached = over and self.column == self.size - 1
        return self._observation(), float(reached) - 0.01 / self.size * goes_right, over, False, {}

    def _observation(self) -> np.ndarray:
        observation = np.zeros((self.size, self.size), np.float32)
        if self.row < self.size:
            DeepSea.visited.add((self.row, self.column))
            observation[self.row, self.column] = 1.0
        return observation.reshape(-1)


gymnasium.register("DeepSea-v0", "deep_sea:DeepSea")

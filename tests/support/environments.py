"""Environments that do what a test needs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from attrs import define, field
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

VECTOR = Box(-1, 1, (3,), np.float32)
SPACES: dict[str, Space[Any]] = {
    "vector": VECTOR,
    "doubles": Box(-np.inf, np.inf, (2, 2), np.float64),
    "scalar": Box(0, 1, (), np.float32),
    "image": Box(0, 255, (4, 4, 3), np.uint8),
    "discrete": Discrete(5, start=-2),
    "multi_discrete": MultiDiscrete([2, 3]),
    "multi_binary": MultiBinary(4),
    "dict": Dict({"a": VECTOR, "b": Discrete(3)}),
    "tuple": Tuple((Discrete(2), VECTOR)),
    "nested": Dict(
        {
            "eyes": Dict({"left": Box(0, 255, (2, 2), np.uint8), "right": MultiBinary(2)}),
            "rest": Tuple((VECTOR, Discrete(4))),
        }
    ),
}


class Scripted(gymnasium.Env[Any, Any]):
    """Random observations and rewards of its seed; ends after 3 to 6 steps, truncated or not.

    ``change`` may replace the result of a step; ``actions`` and ``options`` record what the environment got.
    """

    def __init__(self, observation: Space[Any] = VECTOR, action: Space[Any] | None = None, change: Any = None):
        # Two environments with the same seed must not share the generator of one space.
        self.observation_space = deepcopy(observation)
        self.action_space = deepcopy(action or Discrete(2))
        self.change = change
        self.actions: list[Any] = []
        self.options: list[Any] = []
        self.closed = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.options.append(options)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self.count, self.length = 0, int(self.np_random.integers(3, 7))
        result = (self.observation_space.sample(), {})
        return self.change(self, result) if self.change else result

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.actions.append(action)
        self.count += 1
        over = self.count == self.length
        cut = over and self.length % 2 == 0
        info = {"success": self.length > 4} if over else {}
        result = (self.observation_space.sample(), float(self.np_random.normal()), over and not cut, cut, info)
        return self.change(self, result) if self.change else result

    def close(self) -> None:
        self.closed = True


class Tasked(Scripted):
    """One whose episodes are as long as its task says, and which remembers its tasks."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        result = super().reset(seed=seed, options=dict(options) if options else options)
        self.task = options["task"] if options else None
        if isinstance(self.task, int):
            self.length = self.task
        return result


@define
class Made:
    """An environment component around a function that makes environments."""

    function: Any
    native: bool = False
    environments: list[Any] = field(factory=list)

    def make(self) -> Any:
        self.environments.append(self.function())
        return self.environments[-1]


@define
class MadeVector(Made):
    """One that also has a vector version."""

    vector: Any = None
    native: bool = True

    def make_vector(self, count: int) -> Any:
        return self.vector(count)


def all_of(count: int) -> tuple[np.ndarray, list[int], list[None]]:
    """Arguments of `Vector.reset` for all environments."""
    return np.arange(count), list(range(100, 100 + count)), [None] * count


def steps(vector: Any, count: int) -> None:
    """Step all environments with action 0, resetting none."""
    for _ in range(count):
        vector.step(np.zeros(vector.count, np.int64))

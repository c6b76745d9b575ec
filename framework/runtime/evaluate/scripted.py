"""Policies that were not learned: functions that act in one environment, for many side by side."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from framework.errors import FrameworkError, RunError
from framework.interfaces import EnvironmentFactory
from framework.plugins import describe, traceback_of
from framework.runtime.rollout.environments import make_environment
from framework.toolkit import spaces


class Scripted:
    """A function that acts in each environment by itself.

    Args:
        function: ``(observation, action_mask, generator) -> action``: observation and action as the environment has
            them, the legal actions [M] bool or None, random numbers of that environment's own. Where it has an
            argument ``environment`` it gets the unwrapped environment, too.
        name: what errors call it.
        environments: in which it acts, once they are made.
        seed: of the random numbers.
    """

    def __init__(self, function: Callable[..., Any], name: str, environments: ObservedEnvironments, seed: int):
        self._function, self._name, self._seed = function, name, seed
        self._environments = environments.made
        self._informed = _takes(function, "environment")
        self._generators: list[np.random.Generator] = []

    def __call__(self, observations: Mapping[str, np.ndarray], action_mask: np.ndarray | None) -> np.ndarray:
        """Actions [N, ...]; zeros where an episode is over."""
        if not self._generators:
            self._generators = [np.random.default_rng([self._seed, index]) for index in range(len(self._environments))]
        dtype, shape = spaces.action_spec(self._environments[0].action_space)
        actions = np.zeros((len(self._environments), *shape), dtype)
        for index, environment in enumerate(self._environments):
            if not environment.over:
                mask = None if action_mask is None else action_mask[index].copy()
                actions[index] = self._act(index, environment, mask)
        return actions

    def _act(self, index: int, environment: Observed, mask: np.ndarray | None) -> np.ndarray:
        unwrapped = {"environment": environment.unwrapped} if self._informed else {}
        where = f"{self._name} failed in environment {index}"
        try:
            action = self._function(deepcopy(environment.observation), mask, self._generators[index], **unwrapped)
        except FrameworkError as error:
            raise RunError(f"{where}: {error}") from error
        except Exception as error:
            raise RunError(f"{where}: {describe(error)}\n{traceback_of(error)}") from error
        row = _row(environment.action_space, action)
        if row is None:
            raise RunError(
                f"{self._name} gave {action!r} in environment {index}, which is no action of {environment.action_space}"
            )
        return row


class ObservedEnvironments:
    """An environment component whose environments remember their last observation."""

    def __init__(self, environment: EnvironmentFactory):
        self._environment = environment
        self.made: list[Observed] = []

    def make(self) -> gymnasium.Env[Any, Any]:
        """One environment."""
        self.made.append(Observed(make_environment(self._environment)))
        return self.made[-1]


class Observed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that remembers its last observation."""

    observation: Any = None  #: the last one
    over = False  #: whether its episode has ended

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment."""
        self.observation, info = self.env.reset(seed=seed, options=options)
        self.over = False
        return self.observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """As the environment."""
        result = self.env.step(action)
        self.observation, self.over = result[0], bool(result[2] or result[3])
        return result


def _row(space: gymnasium.Space[Any], action: Any) -> np.ndarray | None:
    """The action as policies give it; None where it is none. Boxes have no bounds here: they clip."""
    if parts := spaces.action_parts(space):
        return _row_of_parts(space, parts, action)
    dtype, shape = spaces.action_spec(space)
    try:
        row = np.asarray(action).astype(dtype, casting="same_kind")
    except (TypeError, ValueError):
        return None
    if row.shape != shape:
        return None
    if isinstance(space, gymnasium.spaces.Box):
        return row if np.isfinite(row).all() else None
    return row if space.contains(row.astype(space.dtype)) else None


def _row_of_parts(
    space: gymnasium.Space[Any], parts: Mapping[str, spaces.ActionPart], action: Any
) -> np.ndarray | None:
    try:
        rows = [_row(part.space, spaces.pick(name, part.path, action, "action")) for name, part in parts.items()]
        return None if any(row is None for row in rows) else spaces.flat_action(space, action)
    except FrameworkError:
        return None


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # some that are written in C do not tell
        return False

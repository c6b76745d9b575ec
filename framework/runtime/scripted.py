"""Policies that were not learned: functions that act in one environment, for many side by side."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from framework.errors import FrameworkError, RunError
from framework.interfaces import Environment
from framework.plugins import describe, traceback_of
from framework.runtime.environments import make_environment
from framework.toolkit import spaces


class Scripted:
    """A function that acts in each environment by itself.

    Args:
        function: ``(observation, action_mask, generator) -> action``: observation and action as the environment has
            them, the legal actions [M] bool or None, random numbers of that environment's own. Where it has an
            argument ``environment`` it gets the unwrapped environment, too.
        name: what errors call it.
        seats: where it acts; environments are made there.
        seed: of the random numbers.
    """

    def __init__(self, function: Callable[..., Any], name: str, seats: Seats, seed: int):
        self._function, self._name, self._seats, self._seed = function, name, seats, seed
        self._informed = _takes(function, "environment")
        self._generators: list[np.random.Generator] = []

    def __call__(self, observations: Mapping[str, np.ndarray], action_mask: np.ndarray | None) -> np.ndarray:
        """Actions [N, ...]; zeros where an episode is over."""
        if not self._generators:
            self._generators = [np.random.default_rng([self._seed, index]) for index in range(len(self._seats.taken))]
        space = self._seats.taken[0].action_space
        dtype, shape = spaces.action_spec(space)
        actions = np.zeros((len(self._seats.taken), *shape), dtype)
        for index, seat in enumerate(self._seats.taken):
            if not seat.over:
                mask = None if action_mask is None else action_mask[index].copy()
                actions[index] = self._act(index, seat, mask)
        return actions

    def _act(self, index: int, seat: Seat, mask: np.ndarray | None) -> np.ndarray:
        known = {"environment": seat.unwrapped} if self._informed else {}
        where = f"{self._name} failed in environment {index}"
        try:
            action = self._function(deepcopy(seat.observation), mask, self._generators[index], **known)
        except FrameworkError as error:
            raise RunError(f"{where}: {error}") from error
        except Exception as error:
            raise RunError(f"{where}: {describe(error)}\n{traceback_of(error)}") from error
        row = _row(seat.action_space, action)
        if row is None:
            raise RunError(
                f"{self._name} gave {action!r} in environment {index}, which is no action of {seat.action_space}"
            )
        return row


class Seats:
    """An environment component whose environments remember their last observation."""

    def __init__(self, environment: Environment):
        self._environment = environment
        self.taken: list[Seat] = []

    def make(self) -> gymnasium.Env[Any, Any]:
        """One environment."""
        self.taken.append(Seat(make_environment(self._environment)))
        return self.taken[-1]


class Seat(gymnasium.Wrapper[Any, Any, Any, Any]):
    """One environment."""

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


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # some that are written in C do not tell
        return False

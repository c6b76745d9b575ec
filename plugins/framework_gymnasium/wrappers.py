"""Wrappers that pipelines name without a module, before those of `gymnasium.wrappers`.

Three are not among Gymnasium's (`RepeatAction` is, but not in its older versions), and two take there neither TOML's
arrays nor unbounded observations.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import ArrayLike

from framework_gymnasium.keep_entries import KeepEntries

__all__ = ["ClipObservation", "KeepEntries", "RepeatAction", "RescaleAction", "RescaleObservation"]


class ClipObservation(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observations clipped to [``min_obs``, ``max_obs``], and their space with them.

    Bounds are numbers, or arrays of the observation's shape. Raises ValueError for observations that are no `Box`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], min_obs: ArrayLike, max_obs: ArrayLike):
        super().__init__(env)
        space = _box(env.observation_space, "observations")
        low, high = _bounds(space, min_obs, max_obs)
        self._low, self._high = low, high
        self.observation_space = Box(np.clip(space.low, low, high), np.clip(space.high, low, high), dtype=space.dtype)

    def observation(self, observation: Any) -> np.ndarray:
        """The clipped observation."""
        return np.clip(observation, self._low, self._high)


class RescaleObservation(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observations mapped linearly from the bounds of their space to [``min_obs``, ``max_obs``].

    Entries without bounds stay as they are. New bounds are numbers, or arrays of the observation's shape. Raises
    ValueError for observations that are no `Box` of floats.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], min_obs: ArrayLike = -1.0, max_obs: ArrayLike = 1.0):
        super().__init__(env)
        space = _box(env.observation_space, "observations", floats=True)
        low, high = _bounds(space, min_obs, max_obs)
        old_low, old_high = space.low.astype(np.float64), space.high.astype(np.float64)
        bounded = np.isfinite(old_low) & np.isfinite(old_high) & (old_low < old_high)
        self._scale = np.divide(high - low, old_high - old_low, out=np.ones(space.shape), where=bounded)
        self._offset = np.subtract(low, old_low * self._scale, out=np.zeros(space.shape), where=bounded)
        self._dtype = space.dtype
        self.observation_space = Box(
            np.where(bounded, low, space.low), np.where(bounded, high, space.high), dtype=self._dtype
        )

    def observation(self, observation: Any) -> np.ndarray:
        """The rescaled observation."""
        return np.asarray(observation * self._scale + self._offset, self._dtype)


class RescaleAction(gymnasium.ActionWrapper[Any, Any, Any]):
    """Actions in [``min_action``, ``max_action``], mapped linearly to the bounds of the environment's action space.

    Bounds are numbers, or arrays of the action's shape. Raises ValueError for actions that are no `Box` of floats with
    bounds.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], min_action: ArrayLike = -1.0, max_action: ArrayLike = 1.0):
        super().__init__(env)
        self._inner = space = _box(env.action_space, "actions", floats=True)
        if not space.is_bounded():
            raise ValueError(f"actions need bounds to be rescaled to; these are {space}")
        low, high = _bounds(space, min_action, max_action)
        self._low = low
        self._scale = (space.high.astype(np.float64) - space.low) / (high.astype(np.float64) - low)
        self.action_space = Box(low, high, dtype=space.dtype)

    def action(self, action: Any) -> np.ndarray:
        """The action in the environment's own bounds, which rounding must not exceed."""
        space = self._inner
        return np.clip(space.low + (action - self._low) * self._scale, space.low, space.high).astype(space.dtype)


class RepeatAction(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Each action is applied ``num_repeats`` times, or until the episode ends; flags and info are those of the last.

    The reward is the sum of ``gamma ** i * reward_i``. With ``gamma`` below 1 that is the discounted return over the
    repeats: the algorithm's own discount factor is then to be ``gamma ** num_repeats``. Raises ValueError for less
    than one repeat.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], num_repeats: int, gamma: float = 1.0):
        super().__init__(env)
        if not isinstance(num_repeats, int) or num_repeats < 1:
            raise ValueError(f"num_repeats must be an integer from 1, not {num_repeats!r}")
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma must be from 0 to 1, not {gamma!r}")
        self._num_repeats = num_repeats
        self._gamma = gamma

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply the action; see the class."""
        total, discount = 0.0, 1.0
        for _ in range(self._num_repeats):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += discount * float(reward)
            discount *= self._gamma
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


def _box(space: gymnasium.Space[Any], what: str, floats: bool = False) -> Box:
    """The space, if it is a `Box`; of floats where that is asked for."""
    if not isinstance(space, Box) or (floats and not np.issubdtype(space.dtype, np.floating)):
        raise ValueError(f"{what} must be a Box{' of floats' if floats else ''}; these are {space}")
    return space


def _bounds(space: Box, low: ArrayLike, high: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both bounds as arrays of the space's shape and dtype. Raises ValueError where they do not fit."""
    lows, highs = (np.broadcast_to(np.asarray(bound, space.dtype), space.shape) for bound in (low, high))
    if not (lows < highs).all():
        raise ValueError(f"the lower bound must be below the upper one; they are {low!r} and {high!r}")
    return lows, highs

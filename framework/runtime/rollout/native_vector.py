"""Vector environments of an environment's own: one class for each way in which they reset what has finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Dict, Tuple
from gymnasium.vector import AutoresetMode, VectorEnv

from framework.errors import EnvironmentFailed, FrameworkError, RunError
from framework.interfaces import EnvironmentFactory, NativeEnvironmentFactory
from framework.plugins import describe
from framework.runtime.rollout.environments import call_factory, close_environment
from framework.runtime.rollout.noticed_options import NoticedOptions
from framework.runtime.rollout.vector import Vector, VectorArrays, success_code
from framework.toolkit import spaces


def make_native_vector(environment: EnvironmentFactory, count: int) -> Vector:
    """The environment's own vector version, by its ``metadata["autoreset_mode"]``.

    Raises `FrameworkError` where it has none, or where it does not say how it resets.
    """
    if not isinstance(environment, NativeEnvironmentFactory):
        raise FrameworkError(f"{type(environment).__name__} has no vector version: leave out native = true")
    name, make = type(environment).__qualname__, partial(environment.make_vector, count)
    native: VectorEnv[Any, Any, Any] = call_factory(name, "make_vector()", make, VectorEnv)
    mode = native.metadata.get("autoreset_mode")
    try:
        return _MODES[AutoresetMode(mode)](native)
    except ValueError:
        native.close()
        raise FrameworkError(
            f"{type(native).__name__} does not say how it resets finished environments: its metadata"
            f" ['autoreset_mode'] is {mode!r}, not NextStep, SameStep or Disabled; leave out native = true"
        ) from None


class NativeArrays(VectorArrays):
    """What all native vectors share: calling them and keeping what they give."""

    def __init__(self, native: VectorEnv[Any, Any, Any]):
        super().__init__(native.num_envs, native.single_observation_space, native.single_action_space)
        self._native = native
        self._paths = spaces.leaf_paths(native.single_observation_space)
        self._all = np.arange(self.count)

    def _call_reset(self, seed: Any, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        try:
            observation, infos = self._native.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise EnvironmentFailed(f"the vector environment failed in reset: {describe(error)}") from error
        self._check_infos(infos)
        return observation, infos

    def _call_step(self, actions: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Step and keep all results but the observations, which are returned with the infos."""
        batch = spaces.environment_actions(self.action_space, actions)
        try:
            observation, rewards, terminated, truncated, infos = self._native.step(batch)
        except (Exception, SystemExit) as error:
            raise EnvironmentFailed(f"the vector environment failed in step: {describe(error)}") from error
        self._check_infos(infos)
        batch_rewards = self._one_each("rewards", rewards)
        if batch_rewards.dtype.kind not in "fiub":
            raise RunError(f"the vector environment gave rewards of {batch_rewards.dtype}, which are no numbers")
        self.rewards[:] = batch_rewards
        try:
            self.terminated[:] = spaces.truths("terminated", self._one_each("terminated", terminated))
            self.truncated[:] = spaces.truths("truncated", self._one_each("truncated", truncated))
        except FrameworkError as error:
            raise RunError(f"the vector environment: {error}") from error
        return observation, infos

    def _one_each(self, name: str, values: Any) -> np.ndarray:
        """``values`` [N]; what has another shape is refused, as it would be broadcast."""
        array = np.asarray(values)
        if array.shape != (self.count,):
            raise RunError(f"the vector environment gave {name} of shape {array.shape}, not ({self.count},)")
        return array

    def _check_infos(self, infos: Any) -> None:
        if not isinstance(infos, dict):
            raise RunError(f"the vector environment gave infos = {infos!r:.100}, which is not a dictionary")

    def _keep_observations(self, observation: Any, rows: np.ndarray) -> None:
        for name, path in self._paths.items():
            array, batch = self.observations[name], np.asarray(spaces.pick(name, path, observation))
            if batch.shape != array.shape or not np.can_cast(batch.dtype, array.dtype, "same_kind"):
                raise RunError(
                    f"observation {name!r} of the vector environment is {batch.dtype}{list(batch.shape)}, but its"
                    f" space declares {array.dtype}{list(array.shape)}"
                )
            array[rows] = batch[rows]
            if batch.dtype != array.dtype and array.dtype.kind in "iu" and (array[rows] != batch[rows]).any():
                raise RunError(
                    f"observation {name!r} of the vector environment has values that {array.dtype} cannot hold"
                )
        if self._choices:
            self.check_choices(rows)

    def _keep_success(self, infos: dict[str, Any]) -> None:
        for i in np.flatnonzero(self.terminated | self.truncated).tolist():
            self.success[i] = success_code(row_of(infos, ("success",), i) if _has(infos, "success", i) else None)

    def _keep_masks(self, infos: dict[str, Any], rows: np.ndarray, ended: np.ndarray | None = None) -> None:
        masks: Any = infos.get("action_mask")
        whole = isinstance(masks, np.ndarray) and "_action_mask" not in infos
        if self.action_mask is not None and whole and masks.shape == self.action_mask.shape:
            self.action_mask[rows] = spaces.truths("info['action_mask']", masks[rows])
        else:
            for i in rows.tolist():
                given = _has(infos, "action_mask", i)
                self.read_mask(i, {"action_mask": _mask_of(self.action_space, masks, i)} if given else {})
        self.check_masks(rows, np.zeros(len(rows), bool) if ended is None else ended)

    def close(self) -> list[str]:
        """See `Vector`."""
        return close_environment(self._native, "the vector environment")


class MaskedVector(NativeArrays):
    """Autoreset disabled: finished environments are reset with a mask and a seed each, so episodes can be replayed."""

    replayable = True
    self_resetting = False

    def __init__(self, native: VectorEnv[Any, Any, Any]):
        super().__init__(native)
        self._started = False

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """See `Vector`."""
        seed_of: list[int | None] = [None] * self.count
        task_of: list[Any] = [None] * self.count
        for i, seed, task in zip(index.tolist(), seeds, tasks, strict=True):
            seed_of[i], task_of[i] = seed, deepcopy(task)
        options: dict[str, Any] = {}
        if self._started:
            options["reset_mask"] = np.zeros(self.count, bool)
            options["reset_mask"][index] = True
        if any(task is not None for task in tasks):
            options = NoticedOptions("tasks", options | {"tasks": task_of})
        observation, infos = self._call_reset(seed_of, options or None)
        if isinstance(options, NoticedOptions) and not options.read:
            raise RunError(
                "the vector environment was given tasks and did not look at them: its reset must read"
                " options['tasks'], or leave out native = true"
            )
        self._keep_observations(observation, index)
        if not self._started:
            self.prepare_masks("action_mask" in infos)
            self._started = True
        self._keep_masks(infos, index)

    def step(self, actions: np.ndarray) -> None:
        """See `Vector`."""
        observation, infos = self._call_step(actions)
        self._keep_observations(observation, self._all)
        self._keep_success(infos)
        self._keep_masks(infos, self._all, self.terminated | self.truncated)


class NextStepVector(NativeArrays):
    """A finished environment resets itself in the next step, which is not valid. Only the first episodes are seeded."""

    replayable = False
    self_resetting = True

    def __init__(self, native: VectorEnv[Any, Any, Any]):
        super().__init__(native)
        self._ended = np.zeros(self.count, bool)

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """Start all environments, seeded with the first seed; legal once, for all of them."""
        if len(index) != self.count:
            raise RunError("this vector environment resets finished environments itself: it can only be reset whole")
        _refuse_tasks(tasks)
        observation, infos = self._call_reset(int(seeds[0]), None)
        self._keep_observations(observation, self._all)
        self._ended.fill(False)
        self.prepare_masks("action_mask" in infos)
        self._keep_masks(infos, self._all)

    def step(self, actions: np.ndarray) -> None:
        """See `Vector`."""
        np.logical_not(self._ended, out=self.valid)
        observation, infos = self._call_step(actions)
        self._keep_observations(observation, self._all)
        self._keep_success(infos)
        np.logical_or(self.terminated, self.truncated, out=self._ended)
        self._keep_masks(infos, self._all, self._ended)


class SameStepVector(NativeArrays):
    """A finished environment resets itself at once: its next first observation is kept back until `reset` asks."""

    replayable = False
    self_resetting = False

    def __init__(self, native: VectorEnv[Any, Any, Any]):
        super().__init__(native)
        self._next: tuple[Any, dict[str, Any]] | None = None

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """Start all environments, seeded with the first seed; later, show the new episodes of finished ones."""
        if self._next is None:
            _refuse_tasks(tasks)
            self._next = self._call_reset(int(seeds[0]), None)
            self.prepare_masks("action_mask" in self._next[1])
        elif not (self.terminated | self.truncated)[index].all():
            raise RunError("this vector environment resets finished environments itself, and cannot reset others")
        self._keep_observations(self._next[0], index)
        self._keep_masks(self._next[1], index)

    def step(self, actions: np.ndarray) -> None:
        """See `Vector`."""
        observation, infos = self._next = self._call_step(actions)
        self._keep_observations(observation, self._all)
        ended = np.flatnonzero(self.terminated | self.truncated)
        final_info = infos.get("final_info", {})
        for i in ended.tolist():
            if not _has(infos, "final_obs", i):
                raise RunError(
                    f"{type(self._native).__name__} gives no info['final_obs'] where an episode ends, so its true last"
                    " observation is lost: leave out native = true"
                )
            for name, path in self._paths.items():
                value = row_of(infos, ("final_obs", *path), i)
                self.observations[name][i] = self._leaf(name, i, value)
            self.success[i] = (
                success_code(row_of(final_info, ("success",), i)) if _has(final_info, "success", i) else -1
            )
        if self._choices:
            self.check_choices(ended)
        self._keep_masks(infos, np.delete(self._all, ended))

    def _leaf(self, name: str, index: int, value: Any) -> np.ndarray:
        try:
            return spaces.leaf_array(name, self.observation_space[name], value)
        except FrameworkError as error:
            raise RunError(f"environment {index}: info['final_obs']: {error}") from error


_MODES: dict[AutoresetMode, Callable[[VectorEnv[Any, Any, Any]], Vector]] = {
    AutoresetMode.DISABLED: MaskedVector,
    AutoresetMode.NEXT_STEP: NextStepVector,
    AutoresetMode.SAME_STEP: SameStepVector,
}


def _refuse_tasks(tasks: Sequence[Any]) -> None:
    if any(task is not None for task in tasks):
        raise RunError(
            "a vector environment that resets finished environments itself takes no tasks: leave out native = true"
        )


def _has(infos: dict[str, Any], key: str, index: int) -> bool:
    """Whether environment ``index`` gave ``key``: Gymnasium marks it with an array named ``_key``."""
    return key in infos and bool(np.all(infos.get(f"_{key}", True)) or infos[f"_{key}"][index])


def _mask_of(space: Space[Any], masks: Any, index: int) -> Any:
    """What environment ``index`` gave as its mask: by part, where the masks of a Dict or Tuple are stacked so."""
    if isinstance(space, Dict) and isinstance(masks, dict):
        given = {key: space[key] for key in space if masks.get(key) is not None and _has(masks, key, index)}
        return {key: _mask_of(part, masks[key], index) for key, part in given.items()}
    if isinstance(space, Tuple) and isinstance(masks, tuple):
        parts = zip(space, masks, strict=True)
        return tuple(None if mask is None else _mask_of(part, mask, index) for part, mask in parts)
    return masks[index]


def row_of(infos: dict[str, Any], path: spaces.Path, index: int) -> Any:
    """What environment ``index`` gave at ``path``: Gymnasium stacks dictionaries key by key, all else as it stands."""
    value: Any = infos
    indexed = False
    for key in path:
        if not indexed and not isinstance(value, dict):
            value, indexed = value[index], True
        value = value[key]
    return value if indexed else value[index]

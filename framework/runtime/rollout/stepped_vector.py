"""Environments stepped one by one: several times cheaper than gymnasium's ``SyncVectorEnv``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import Env, Space
from gymnasium.spaces import Discrete

from framework.errors import EnvironmentFailed, FrameworkError, RunError
from framework.plugins import describe
from framework.runtime.rollout.environments import close_environment
from framework.runtime.rollout.noticed_options import NoticedOptions
from framework.runtime.rollout.snapshots import find_snapshots
from framework.runtime.rollout.vector import Raised, VectorArrays, success_code
from framework.toolkit import spaces

#: Types of rewards that need no further look.
_NUMBERS = frozenset((float, int, bool, np.float32, np.float64))


class SteppedVector(VectorArrays):
    """Single environments, stepped one after the other in this process. Autoreset does not exist here.

    Args:
        environments: all with the same spaces.
        make: makes another such environment in place of one that raised; without it one that raises is an error.
    """

    replayable = True
    self_resetting = False

    def __init__(self, environments: Sequence[Env[Any, Any]], make: Callable[[], Env[Any, Any]] | None = None):
        first = environments[0]
        self._space = first.observation_space
        for index, environment in enumerate(environments):
            if environment.observation_space != self._space or environment.action_space != first.action_space:
                raise FrameworkError(f"environment {index} has other spaces than environment 0")
        super().__init__(len(environments), self._space, first.action_space)
        self._environments = list(environments)
        self.snapshots = find_snapshots(environments, self._show_snapshot)
        self._make = make
        self.restarts = make is not None
        self.metrics: list[Any] = [None] * self.count  #: ``info["metrics"]``, read where an episode just ended
        self._steps = [environment.step for environment in environments]
        paths = spaces.leaf_paths(self._space)
        self._stores = [
            _store(name, self.observation_space[name], self.observations[name], path) for name, path in paths.items()
        ]
        whole = () in paths.values()
        #: Where observations have no parts: their array, in which `step` itself stores what needs no cast.
        self._plain = self.observations[spaces.PLAIN] if whole else np.empty((0, 0), object)
        self._discrete = isinstance(self.action_space, Discrete)
        self._started = False
        self._ended = False

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """See `Vector`."""
        for i, seed, task in zip(index.tolist(), seeds, tasks, strict=True):
            options = None if task is None else NoticedOptions("task", {"task": deepcopy(task)})
            try:
                if i in self.failed:
                    self._replace(i)
                observation, info = self._environments[i].reset(seed=seed, options=options)
            except (Exception, SystemExit) as error:
                self._fail(i, "reset", error)
                continue
            self.failed.pop(i, None)
            _check_info(i, info)
            if options is not None and not options.read:
                raise RunError(
                    f"environment {i} was given a task and did not look at it: its reset must read options['task'], "
                    "or the pipeline has no use for a curriculum"
                )
            for name, value in self._flatten(i, observation).items():
                self.observations[name][i] = value
            if not self._started:
                self.prepare_masks("action_mask" in info)
                self._started = True
            self.read_mask(i, info)
        if self.failed:
            index = np.array([i for i in index.tolist() if i not in self.failed], np.int64)
        self.check_choices(index)
        self.check_masks(index, np.zeros(len(index), bool))

    def step(self, actions: np.ndarray) -> None:
        """See `Vector`."""
        batch = actions if self._discrete else spaces.single_actions(self.action_space, actions)
        rewards: list[Any] = []
        if self._ended:
            self.terminated.fill(False)
            self.truncated.fill(False)
            self._ended = False
        masked = self.action_mask is not None
        plain = self._plain
        array, dtype, shape = np.ndarray, plain.dtype, plain.shape[1:]
        scalars = _scalars(plain)
        index = 0
        try:
            for step, action in zip(self._steps, batch, strict=True):
                try:
                    observation, reward, terminated, truncated, info = step(action)
                except (Exception, SystemExit) as error:
                    self._cut_off(index, error)
                    rewards.append(0.0)
                    index += 1
                    continue
                # At once, as the next environment may reuse the same array.
                kind = type(observation)
                if (kind is array and observation.dtype is dtype and observation.shape == shape) or kind in scalars:
                    plain[index] = observation
                else:
                    for store in self._stores:
                        store(index, observation)
                rewards.append(reward)
                if terminated or truncated:
                    self._end(index, terminated, truncated, info)
                elif masked:
                    self.read_mask(index, info)
                index += 1
        except RunError:
            raise
        except (Exception, SystemExit) as error:
            raise _in_words(index, error) from error
        self._keep(rewards)
        if self._choices:
            self.check_choices(slice(None))
        if masked:
            self.check_masks(slice(None), self.terminated | self.truncated)

    def _end(self, index: int, terminated: Any, truncated: Any, info: Any) -> None:
        """Note the end of an episode, and what was said of it."""
        self.terminated[index] = terminated if type(terminated) is bool else spaces.truths("terminated", terminated)
        self.truncated[index] = truncated if type(truncated) is bool else spaces.truths("truncated", truncated)
        _check_info(index, info)
        self.success[index] = success_code(info.get("success"))
        metrics = info.get("metrics")
        self.metrics[index] = None if metrics is None else deepcopy(metrics)
        self._ended = True
        self.read_mask(index, info)

    def _show_snapshot(self, index: int, observation: Any, info: Any) -> None:
        _check_info(index, info)
        for name, value in self._flatten(index, observation).items():
            self.observations[name][index] = value
        self.read_mask(index, info)
        self.check_choices(np.array([index]))
        self.check_masks(np.array([index]), np.zeros(1, bool))

    def _cut_off(self, index: int, error: BaseException) -> None:
        """Truncate the episode of an environment that raised in step, at its last observation."""
        if isinstance(error, FrameworkError) or _breaks_contract(error):  # another environment would do no better
            raise error
        self._fail(index, "step", error)
        self.truncated[index] = True
        self.success[index] = -1
        self.metrics[index] = None
        self._ended = True

    def _fail(self, index: int, call: str, error: BaseException) -> None:
        """Note what an environment raised. Raises `EnvironmentFailed` where it is not made anew, or was so in vain."""
        before = self.failed.get(index)
        in_vain = before is not None and before.call == "reset"
        if not self.restarts or in_vain or isinstance(error, RunError):
            raise EnvironmentFailed(f"environment {index} failed in {call}: {describe(error)}") from error
        self.failed[index] = Raised(call, error)

    def _replace(self, index: int) -> None:
        """Close an environment that raised, whatever comes of it, and make another."""
        assert self._make is not None
        close_environment(self._environments[index], f"environment {index}")
        environment = self._make()
        if (environment.observation_space, environment.action_space) != (self._space, self.action_space):
            raise RunError(f"environment {index} was made anew with other spaces")
        self._environments[index] = environment
        self._steps[index] = environment.step
        if self.snapshots is not None:
            self.snapshots.replace(index, environment)

    def render(self, count: int | None = None) -> list[np.ndarray]:
        """A picture of each of the first ``count`` environments, by default of all: uint8 [height, width, 3].

        They must have the render mode ``rgb_array``.
        """
        pictures = []
        for index, environment in enumerate(self._environments[:count]):
            picture = environment.render()
            if not isinstance(picture, np.ndarray):
                raise RunError(f"environment {index} cannot be drawn: its render mode is {environment.render_mode}")
            pictures.append(picture)
        return pictures

    def _keep(self, rewards: list[Any]) -> None:
        try:
            if _NUMBERS.issuperset(map(type, rewards)):
                self.rewards[:] = rewards
                return
            batch = np.asarray(rewards)
        except (ValueError, OverflowError):  # of different shapes; integers of hundreds of digits
            batch = np.empty(0, object)
        if batch.dtype.kind in "fiub" and batch.shape == self.rewards.shape:
            self.rewards[:] = batch
            return
        # Storing all at once is fast and does not say whose value it was that did not fit.
        for i, reward in enumerate(rewards):
            if np.shape(reward) != () or np.asarray(reward).dtype.kind not in "fiub":
                raise RunError(f"environment {i} gave the reward {reward!r:.100}, which is not a number")
        raise RunError(f"the rewards {rewards!r:.200} are not numbers")

    def _flatten(self, index: int, observation: Any) -> dict[str, np.ndarray]:
        try:
            return spaces.flatten(self._space, observation)
        except FrameworkError as error:
            raise RunError(f"environment {index}: {error}") from error

    def close(self) -> list[str]:
        """See `Vector`."""
        return [
            problem
            for index, environment in enumerate(self._environments)
            for problem in close_environment(environment, f"environment {index}")
        ]


def _breaks_contract(error: BaseException) -> bool:
    """Whether the call of an environment failed, and not its code: it takes no action, or does not give five results.

    Unpacking them in the same breath costs `SteppedVector.step` nothing; storing them first does.
    """
    trace = error.__traceback__
    return isinstance(error, TypeError | ValueError) and trace is not None and trace.tb_next is None


def _in_words(index: int, error: BaseException) -> RunError:
    if isinstance(error, FrameworkError):
        return RunError(f"environment {index}: {error}")
    return EnvironmentFailed(f"environment {index} failed in step: {describe(error)}")


def _check_info(index: int, info: Any) -> None:
    if type(info) is not dict and not isinstance(info, Mapping):
        raise RunError(f"environment {index} gave info = {info!r:.100}, which is not a dictionary")


def _scalars(array: np.ndarray) -> tuple[type, ...]:
    """The types of numbers that can be stored in a row of an array as they are."""
    if array.ndim > 1:
        return ()
    python = {"i": int, "f": float}.get(array.dtype.kind, array.dtype.type)
    return (array.dtype.type, python) if array.dtype.itemsize == 8 else (array.dtype.type,)


def _store(name: str, leaf: Space[Any], array: np.ndarray, path: spaces.Path) -> Callable[[int, Any], None]:
    """Stores one leaf of one observation. Decided once, because it runs at every step of every environment."""
    dtype, shape, scalars = array.dtype, array.shape[1:], _scalars(array)
    #: What is cast as it is stored, without loss but for rounding.
    castable = "fiub" if dtype.kind == "f" else ""
    key = path[0] if len(path) == 1 else None

    def store(index: int, observation: Any) -> None:
        if key is not None and type(observation) is dict and key in observation:
            value = observation[key]
        else:
            value = spaces.pick(name, path, observation)
        if type(value) in scalars or (
            type(value) is np.ndarray
            and value.shape == shape
            and (value.dtype is dtype or value.dtype.kind in castable)
        ):
            array[index] = value
        else:
            array[index] = spaces.leaf_array(name, leaf, value)

    return store

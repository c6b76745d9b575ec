"""Environments side by side, stepped one by one: several times cheaper than gymnasium's ``SyncVectorEnv``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Protocol

import numpy as np
from gymnasium import Env, Space
from gymnasium.spaces import Discrete

from framework.errors import FrameworkError, RunError
from framework.interfaces import Environment
from framework.toolkit import spaces


class Vector(Protocol):
    """``count`` environments that take their actions together.

    The arrays hold the results of the last call; they belong to the vector, and the next call overwrites them.
    """

    count: int  #: N
    observation_space: dict[str, Space[Any]]  #: flat: name of the leaf -> its space
    action_space: Space[Any]
    replayable: bool  #: the same seeds, tasks and actions give the same episodes, each environment by itself
    self_resetting: bool  #: finished environments reset themselves in the next step, where ``valid`` is false

    observations: dict[str, np.ndarray]  #: {leaf: [N, ...]} the current observation of each environment
    rewards: np.ndarray  #: [N] float32
    terminated: np.ndarray  #: [N] bool
    truncated: np.ndarray  #: [N] bool
    ended: np.ndarray  #: [2, N] bool: ``terminated`` and ``truncated`` in one
    success: np.ndarray  #: [N] int8: 1, 0, or -1 where it is unknown; meaningful where an episode just ended
    valid: np.ndarray  #: [N] bool: false where the step only reset the environment
    action_mask: np.ndarray | None  #: [N, M] bool: the legal actions; None where the environment gives none

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """Start a new episode in the environments ``index``, with one seed and one task (or None) each.

        Refreshes their rows of ``observations`` and ``action_mask``, and nothing else.
        """

    def step(self, actions: np.ndarray) -> None:
        """Apply one action in each environment. Finished ones keep the true last observation until they are reset."""

    def close(self) -> None:
        """Close the environments."""


def make_vector(environment: Environment, count: int) -> Vector:
    """``count`` environments, stepped singly, or by the environment's own vector version where it is ``native``."""
    if getattr(environment, "native", False):
        from framework.runtime.native_vector import make_native_vector

        return make_native_vector(environment, count)
    return SteppedVector([environment.make() for _ in range(count)])


class VectorArrays:
    """The arrays of a `Vector`, and what is read from ``info``."""

    action_mask: np.ndarray | None = None

    def __init__(self, count: int, observation_space: Space[Any], action_space: Space[Any]):
        spaces.check_action_space(action_space)
        self.count = count
        self.observation_space = spaces.flat_space(observation_space)
        self.action_space = action_space
        self.observations = {}
        for name, leaf in self.observation_space.items():
            dtype, shape = spaces.array_spec(leaf)
            self.observations[name] = np.zeros((count, *shape), dtype)
        self.rewards = np.zeros(count, np.float32)
        self.ended = np.zeros((2, count), bool)
        self.terminated, self.truncated = self.ended
        self.success = np.full(count, -1, np.int8)
        self.valid = np.ones(count, bool)

    def prepare_masks(self, given: bool) -> None:
        """Decide at the first reset whether there are action masks; `read_mask` holds all that follow to it."""
        size = spaces.mask_size(self.action_space)
        if given and size is None:
            raise RunError(
                f"the environment gives info['action_mask'], which the space {self.action_space} cannot have"
            )
        if given:
            self.action_mask = np.ones((self.count, size or 0), bool)
            self._mask_starts = np.cumsum([0, *spaces.mask_groups(self.action_space)[:-1]])

    def read_mask(self, index: int, info: dict[str, Any]) -> None:
        """Store one environment's ``info["action_mask"]``; a MultiDiscrete's may be a tuple with one array each."""
        mask = info.get("action_mask")
        if (mask is None) != (self.action_mask is None):
            raise RunError(f"environment {index} gives info['action_mask'] only sometimes: give it always or never")
        if self.action_mask is None:
            return
        row = np.concatenate([np.ravel(part) for part in mask]) if isinstance(mask, tuple) else np.asarray(mask)
        size = self.action_mask.shape[1]
        if row.shape != (size,):
            raise RunError(f"environment {index} gave an info['action_mask'] of shape {row.shape}, not ({size},)")
        self.action_mask[index] = row

    def check_masks(self, index: np.ndarray | slice, ended: np.ndarray) -> None:
        """Raise `RunError` where an environment of ``index`` that has not ``ended`` has no legal action."""
        if self.action_mask is None:
            return
        legal = np.logical_or.reduceat(self.action_mask[index], self._mask_starts, axis=1).all(axis=1) | ended
        if not legal.all():
            culprit = np.arange(self.count)[index][~legal][0]
            raise RunError(f"environment {culprit} gave an info['action_mask'] without any legal action")


def success_code(success: Any) -> int:
    """``info["success"]`` as 1 or 0, and -1 where there is none."""
    return -1 if success is None else int(bool(success))


class SteppedVector(VectorArrays):
    """Single environments, stepped one after the other in this process. Autoreset does not exist here."""

    replayable = True
    self_resetting = False

    def __init__(self, environments: Sequence[Env[Any, Any]]):
        first = environments[0]
        self._space = first.observation_space
        for index, environment in enumerate(environments):
            if environment.observation_space != self._space or environment.action_space != first.action_space:
                raise FrameworkError(f"environment {index} has other spaces than environment 0")
        super().__init__(len(environments), self._space, first.action_space)
        self._environments = list(environments)
        self.metrics: list[Any] = [None] * self.count  #: ``info["metrics"]``, read where an episode just ended
        self._steps = [environment.step for environment in environments]
        self._stores = [_store(self.observations[name], path) for name, path in spaces.leaf_paths(self._space).items()]
        self._discrete = isinstance(self.action_space, Discrete)
        self._started = False
        self._ended = False

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """See `Vector`."""
        for i, seed, task in zip(index.tolist(), seeds, tasks, strict=True):
            options = None if task is None else NoticedOptions("task", {"task": deepcopy(task)})
            try:
                observation, info = self._environments[i].reset(seed=seed, options=options)
            except Exception as error:
                raise RunError(f"environment {i} failed in reset: {_describe(error)}") from error
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
        self.check_masks(index, np.zeros(len(index), bool))

    def step(self, actions: np.ndarray) -> None:
        """See `Vector`."""
        batch = actions if self._discrete else spaces.environment_actions(self.action_space, actions)
        observations: list[Any] = []
        rewards: list[Any] = []
        if self._ended:
            self.terminated.fill(False)
            self.truncated.fill(False)
            self._ended = False
        masked = self.action_mask is not None
        index = 0
        try:
            for step, action in zip(self._steps, batch, strict=True):
                observation, reward, terminated, truncated, info = step(action)
                observations.append(observation)
                rewards.append(reward)
                if terminated or truncated:
                    self.terminated[index] = terminated
                    self.truncated[index] = truncated
                    self.success[index] = success_code(info.get("success"))
                    self.metrics[index] = deepcopy(info.get("metrics"))
                    self._ended = True
                    self.read_mask(index, info)
                elif masked:
                    self.read_mask(index, info)
                index += 1
        except RunError:
            raise
        except Exception as error:
            raise RunError(f"environment {index} failed in step: {_describe(error)}") from error
        self._keep(observations, rewards)
        if masked:
            self.check_masks(slice(None), self.terminated | self.truncated)

    def render(self) -> list[np.ndarray]:
        """A picture of each environment, uint8 [height, width, 3]; they must have the render mode ``rgb_array``."""
        pictures = []
        for index, environment in enumerate(self._environments):
            picture = environment.render()
            if not isinstance(picture, np.ndarray):
                raise RunError(f"environment {index} cannot be drawn: its render mode is {environment.render_mode}")
            pictures.append(picture)
        return pictures

    def _keep(self, observations: list[Any], rewards: list[Any]) -> None:
        try:
            for store in self._stores:
                store(observations)
            self.rewards[:] = rewards
        except (TypeError, ValueError, LookupError):
            # Storing all at once is fast and does not say whose value it was that did not fit.
            for i, (observation, reward) in enumerate(zip(observations, rewards, strict=True)):
                self._flatten(i, observation)
                if np.shape(reward) != ():
                    raise RunError(f"environment {i} gave a reward of shape {np.shape(reward)}, not a number") from None
            raise

    def _flatten(self, index: int, observation: Any) -> dict[str, np.ndarray]:
        try:
            return spaces.flatten(self._space, observation)
        except FrameworkError as error:
            raise RunError(f"environment {index}: {error}") from error

    def close(self) -> None:
        """See `Vector`."""
        for environment in self._environments:
            environment.close()


class NoticedOptions(dict[str, Any]):
    """Options of a reset, which notice whether anybody reads one of them: most environments ignore what they get."""

    def __init__(self, noticed: str, options: Mapping[str, Any]):
        super().__init__(options)
        self._noticed = noticed
        self.read = False

    def __getitem__(self, key: str) -> Any:
        self.read |= key == self._noticed
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As `dict.get`."""
        self.read |= key == self._noticed
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """As `dict.pop`."""
        self.read |= key == self._noticed
        return super().pop(key, *default)

    def items(self) -> Any:
        """As `dict.items`."""
        self.read = True
        return super().items()

    def values(self) -> Any:
        """As `dict.values`."""
        self.read = True
        return super().values()

    def __iter__(self) -> Iterator[str]:  # makes ``dict(options)`` and ``{**options}`` go through ``__getitem__``
        return super().__iter__()


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _store(array: np.ndarray, path: spaces.Path) -> Callable[[list[Any]], Any]:
    """Stores one leaf of a list of observations. Decided once, because it runs at every step of every environment."""
    if array.ndim == 1:
        store: Callable[[list[Any]], Any] = partial(array.__setitem__, slice(None))
    else:
        # Refuses other shapes and lossy casts, which assigning row by row would not.
        store = partial(np.concatenate, out=array.reshape(-1, *array.shape[2:]), casting="same_kind")
    if not path:
        return store

    def pick_and_store(observations: list[Any]) -> None:
        for key in path:
            observations = [observation[key] for observation in observations]
        store(observations)

    return pick_and_store

"""A vector: environments side by side that take their actions together, and the arrays that hold what they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import Space

from framework.errors import FrameworkError, RunError
from framework.runtime.rollout.snapshots import Snapshots
from framework.toolkit import spaces


class Raised(NamedTuple):
    """An exception that an environment raised, and in which call."""

    call: str  #: ``step`` or ``reset``
    error: BaseException


class Vector(Protocol):
    """``count`` environments that take their actions together.

    The arrays hold the results of the last call; they belong to the vector, and the next call overwrites them.
    """

    count: int  #: N
    observation_space: dict[str, Space[Any]]  #: flat: name of the leaf -> its space
    nested_observation_space: Space[Any]  #: as the environment has it
    action_space: Space[Any]
    replayable: bool  #: the same seeds, tasks and actions give the same episodes, each environment by itself
    snapshots: Snapshots | None  #: saves and loads where environments stand; None where they offer no snapshots
    self_resetting: bool  #: finished environments reset themselves in the next step, where ``valid`` is false

    observations: dict[str, np.ndarray]  #: {leaf: [N, ...]} the current observation of each environment
    rewards: np.ndarray  #: [N] float32
    terminated: np.ndarray  #: [N] bool
    truncated: np.ndarray  #: [N] bool
    ended: np.ndarray  #: [2, N] bool: ``terminated`` and ``truncated`` in one
    success: np.ndarray  #: [N] int8: 1, 0, or -1 where it is unknown; meaningful where an episode just ended
    valid: np.ndarray  #: [N] bool: false where the step only reset the environment
    action_mask: np.ndarray | None  #: [N, M] bool: the legal actions; None where the environment gives none
    restarts: bool  #: environments that raise are made anew, instead of ending the run
    failed: dict[int, Raised]  #: those that raised, by their index, until a reset of them succeeds

    def reset(self, index: np.ndarray, seeds: Sequence[int], tasks: Sequence[Any]) -> None:
        """Start a new episode in the environments ``index``, with one seed and one task (or None) each.

        Refreshes their rows of ``observations`` and ``action_mask``, and nothing else. Where the vector `restarts`,
        those that `failed` are made anew first, and one that raises now is among them afterwards and has to be reset
        again; `EnvironmentFailed` where it raises twice in a row.
        """

    def step(self, actions: np.ndarray) -> None:
        """Apply one action in each environment. Finished ones keep the true last observation until they are reset.

        Where the vector `restarts`, the episode of one that raises is truncated, with a reward of 0 and the observation
        before; it is among those that `failed` until it is reset.
        """

    def close(self) -> list[str]:
        """Close the environments; what they raised in doing so, a line each."""


class VectorArrays:
    """The arrays of a `Vector`, and what is read from ``info``."""

    action_mask: np.ndarray | None = None
    snapshots: Snapshots | None = None
    restarts = False

    def __init__(self, count: int, observation_space: Space[Any], action_space: Space[Any]):
        spaces.check_action_space(action_space)
        self.count = count
        self.observation_space = spaces.flat_space(observation_space)
        self.nested_observation_space = observation_space
        self.action_space = action_space
        self.observations = {}
        for name, leaf in self.observation_space.items():
            dtype, shape = spaces.array_spec(leaf)
            self.observations[name] = np.zeros((count, *shape), dtype)
        self._choices = {
            name: (self.observations[name].view(choices[1].dtype), *choices)
            for name, leaf in self.observation_space.items()
            if (choices := spaces.choices(leaf)) is not None
        }
        self.rewards = np.zeros(count, np.float32)
        self.ended = np.zeros((2, count), bool)
        self.terminated, self.truncated = self.ended
        self.success = np.full(count, -1, np.int8)
        self.valid = np.ones(count, bool)
        self.failed: dict[int, Raised] = {}

    def prepare_masks(self, masked: bool) -> None:
        """Decide at the first reset whether there are action masks; `read_mask` holds all that follow to it."""
        size = spaces.mask_size(self.action_space)
        if masked and size is None:
            raise RunError(
                f"the environment gives info['action_mask'], which the space {self.action_space} cannot have"
            )
        if masked:
            self.action_mask = np.ones((self.count, size or 0), bool)
            self._mask_starts = np.cumsum([0, *spaces.mask_groups(self.action_space)[:-1]])

    def read_mask(self, index: int, info: dict[str, Any]) -> None:
        """Store one environment's ``info["action_mask"]``, see `framework.toolkit.spaces.flat_mask`."""
        mask = info.get("action_mask")
        if (mask is None) != (self.action_mask is None):
            raise RunError(f"environment {index} gives info['action_mask'] only sometimes: give it always or never")
        if self.action_mask is None:
            return
        try:
            self.action_mask[index] = spaces.flat_mask(self.action_space, mask)
        except FrameworkError as error:
            raise RunError(f"environment {index}: {error}") from error

    def check_choices(self, index: np.ndarray | slice) -> None:
        """Raise `RunError` where an environment of ``index`` shows a choice that its observation space lacks."""
        for name, (batch, first, count) in self._choices.items():
            wrong = batch[index] - first >= count
            if np.count_nonzero(wrong):
                culprit = np.arange(self.count)[index][np.argwhere(wrong)[0, 0]]
                value, leaf = self.observations[name][culprit], self.observation_space[name]
                raise RunError(f"environment {culprit}: observation {name!r} is {value}, which is not in {leaf}")

    def check_masks(self, index: np.ndarray | slice, ended: np.ndarray) -> None:
        """Raise `RunError` where an environment of ``index`` that has not ``ended`` has no legal action."""
        if self.action_mask is None:
            return
        legal = np.logical_or.reduceat(self.action_mask[index], self._mask_starts, axis=1)
        if np.count_nonzero(legal) == legal.size:
            return
        legal = legal.all(axis=1) | ended
        if not legal.all():
            culprit = np.arange(self.count)[index][~legal][0]
            raise RunError(f"environment {culprit} gave an info['action_mask'] without any legal action")


def success_code(success: Any) -> int:
    """``info["success"]`` as 1 or 0, and -1 where there is none."""
    try:
        return -1 if success is None else int(spaces.truths("info['success']", success))
    except (FrameworkError, TypeError) as error:
        raise RunError(f"info['success'] must be true or false, not {success!r}") from error

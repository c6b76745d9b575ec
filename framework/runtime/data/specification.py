"""The specification of a run's trajectories: dtype and shape of every array that a sampler may send."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from framework.errors import FrameworkError
from framework.runtime.data import episode_snapshot, failures, tasks
from framework.runtime.data.episode_snapshot import decode_snapshots
from framework.runtime.data.failures import decode_failures
from framework.runtime.data.tasks import decode_tasks
from framework.runtime.data.trajectory import PER_EPISODE, Trajectory


class SpecificationError(FrameworkError):
    """Arrays that are not those of the run's trajectories."""


Value = TypeVar("Value")

#: Arrays of bytes, whose number varies.
_BYTES = ("tasks", "failures", "snapshots/data")


class Specification:
    """Dtype and shape of every array of a trajectory: what a sampler may send, and nothing else.

    Made from an ``example`` of a single step, whose time dimensions are then stretched to ``length`` steps.
    """

    def __init__(self, example: Trajectory, length: int):
        self.arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.environments = example.arrays["rewards"].shape[1]
        most = (tasks.LIMIT, failures.LIMIT, self.environments * episode_snapshot.LIMIT)
        limits = dict(zip(_BYTES, most, strict=True))
        for name, array in example.arrays.items():
            if name in limits:
                self.arrays[name] = ("uint8", (limits[name],))
                continue
            shape = array.shape
            if name.startswith(PER_EPISODE):
                shape = shape[1:]
            elif name != "episode" and not name.startswith(("memory/", "memory_after/", "snapshots/")):
                shape = (shape[0] - 1 + length, *shape[1:])
            self.arrays[name] = (array.dtype.name, shape)
        self._dtypes = {name: np.dtype(dtype) for name, (dtype, _) in self.arrays.items()}  # telling a name takes long
        self.steps = example.steps * length
        text = repr((self.steps, sorted(self.arrays.items())))
        self.fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        #: Bytes of each array where it is largest: when an episode ends at every step.
        self.bytes = {
            name: int(np.prod(shape, dtype=np.int64))
            * np.dtype(dtype).itemsize
            * (self.steps if name.startswith(PER_EPISODE) else 1)
            for name, (dtype, shape) in self.arrays.items()
        }

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise `SpecificationError` unless these are the arrays of such a trajectory, with indices in range."""
        if arrays.keys() != self.arrays.keys():
            raise SpecificationError(
                f"a trajectory with other arrays: {sorted(arrays.keys() ^ self.arrays.keys())[:5]}"
            )
        counts = set()
        for name, (dtype, shape) in self.arrays.items():
            array = arrays[name]
            if name in _BYTES:
                continue
            per_episode = name.startswith(PER_EPISODE)
            if (
                array.dtype != self._dtypes[name]
                or array.shape[per_episode:] != shape
                or array.ndim != len(shape) + per_episode
            ):
                raise SpecificationError(f"array {name} is {array.dtype.name}{array.shape}, agreed was {dtype}{shape}")
            if per_episode:
                counts.add(len(array))
        if len(counts) != 1 or max(counts) > self.steps:
            raise SpecificationError("arrays of finished episodes differ in length")
        index = arrays["final_index"]
        if index.size and not (index.min() >= 0 and index.max() < self.steps):
            raise SpecificationError("final_index out of range")
        if arrays["episode"].min() < 0:
            raise SpecificationError("episode numbers are counted from 0")
        self._check_bytes(arrays, ended=index.size)

    def _check_bytes(self, arrays: Mapping[str, np.ndarray], ended: int) -> None:
        if "tasks" in self.arrays:
            count, episodes = len(self._decoded("tasks", decode_tasks, arrays)), ended + self.environments
            if count != episodes:
                raise SpecificationError(f"{count} tasks for {episodes} episodes")
        if "failures" in self.arrays:
            count = self._decoded("failures", decode_failures, arrays).count
            # A replay may lose each episode in progress, and each that begins may come after one that failed in reset.
            if count > 2 * (ended + self.environments):
                raise SpecificationError(f"{count} failures where {ended} episodes ended")
        if "snapshots/data" in self.arrays:
            self._decoded("snapshots/data", lambda _: decode_snapshots(arrays), arrays)

    def _decoded(self, name: str, decode: Callable[[np.ndarray], Value], arrays: Mapping[str, np.ndarray]) -> Value:
        array, (limit,) = arrays[name], self.arrays[name][1]
        if array.dtype != np.uint8 or array.ndim != 1 or array.size > limit:
            raise SpecificationError(f"{name} are {array.dtype.name}{array.shape}, agreed was uint8[bytes]")
        try:
            return decode(array)
        except ValueError as error:
            raise SpecificationError(f"{name} that cannot be read: {str(error)[:100]}") from None

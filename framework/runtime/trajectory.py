"""A trajectory: what one shard did in ``T`` steps, as flat named arrays, and batches made of several.

Array names are the fields of `framework.interfaces.Batch`; the entries of its dictionaries are named
``field/entry``. Beside them stand ``episode`` [N] int64, the number of the episode in progress after the last step,
``memory_after`` (the policy's memory there), and one row for each finished episode in ``episodes/...``; under a
curriculum also ``tasks`` [bytes], those of the finished episodes and then those of the N in progress.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from framework.interfaces import Batch
from framework.runtime.tasks import LIMIT, decode_tasks
from framework.runtime.wire import ProtocolError

if TYPE_CHECKING:
    import torch

Arrays = dict[str, np.ndarray]
Episode = dict[str, Any]

#: Columns of the finished episodes of a trajectory.
EPISODE_COLUMNS = {
    "step": np.int32,  # t of its last step
    "environment": np.int32,  # index in the run
    "number": np.int64,
    "return": np.float64,
    "length": np.int64,
    "success": np.int8,  # 1, 0, or -1 where the environment does not say
}

#: Leading dimension is the number of finished episodes.
_VARIABLE = ("final_index", "final_observations/", "extras/final_", "episodes/")


@frozen
class Timing:
    """Seconds that collecting a trajectory took, and how many of them the policy and the environments did."""

    acting: float = 0.0
    stepping: float = 0.0
    total: float = 0.0


@frozen
class Trajectory:
    """Fragment ``number`` of ``shard``, collected with the policy's ``version``."""

    shard: int
    number: int
    version: int
    arrays: Arrays
    timing: Timing = Timing()

    @property
    def steps(self) -> int:
        """Environment steps, ``T * N``."""
        return int(self.arrays["rewards"].size)

    def episodes(self) -> list[Episode]:
        """The episodes that ended in this trajectory, in the order of their ends."""
        columns = {name: self.arrays[f"episodes/{name}"].tolist() for name in EPISODE_COLUMNS}
        episodes = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if "tasks" in self.arrays:
            for episode, task in zip(episodes, decode_tasks(self.arrays["tasks"]), strict=False):
                episode["task"] = task
        return episodes

    def tasks(self) -> tuple[Any, ...]:
        """The tasks of the episodes in progress after the last step, one for each environment; none without tasks."""
        if "tasks" not in self.arrays:
            return ()
        return tuple(decode_tasks(self.arrays["tasks"])[len(self.arrays["final_index"]) :])


def group(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Entries named ``prefix/...``, without the prefix."""
    start = len(prefix) + 1
    return {name[start:]: value for name, value in arrays.items() if name.startswith(prefix + "/")}


def collate(trajectories: Sequence[Trajectory], device: str = "cpu", **fields: Any) -> Batch:
    """Trajectories side by side as one batch of tensors, in the order given."""
    import torch

    first = trajectories[0].arrays
    shards = [trajectory.arrays for trajectory in trajectories]
    environments = sum(arrays["rewards"].shape[1] for arrays in shards)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    def join(name: str) -> torch.Tensor:
        axis = 0 if name.startswith((*_VARIABLE, "memory/")) else 1
        return tensor(np.concatenate([arrays[name] for arrays in shards], axis=axis))

    index, offset = [], 0
    for arrays in shards:
        step, environment = np.divmod(arrays["final_index"], arrays["rewards"].shape[1])
        index.append(step * environments + environment + offset)
        offset += arrays["rewards"].shape[1]

    def entries(name: str) -> dict[str, torch.Tensor]:
        return {key: join(f"{name}/{key}") for key in group(first, name)}

    return Batch(
        observations=entries("observations"),
        actions=join("actions"),
        rewards=join("rewards"),
        terminated=join("terminated"),
        truncated=join("truncated"),
        first=join("first"),
        valid=join("valid"),
        final_index=tensor(np.concatenate(index)),
        final_observations=entries("final_observations"),
        action_mask=join("action_mask") if "action_mask" in first else None,
        extras=entries("extras"),
        memory=entries("memory"),
        **fields,
    )


def bad_value(trajectory: Trajectory, environments: Sequence[int]) -> str | None:
    """Where a trajectory holds NaN or infinity, in words; None where it does not.

    Infinity counts as bad in observations too: no network can learn from it.
    """
    for name, array in trajectory.arrays.items():
        if array.dtype.kind != "f" or name.startswith("episodes/") or np.isfinite(array).all():
            continue
        place = np.argwhere(~np.isfinite(array))[0]
        value = array[tuple(place)]
        if name.startswith(_VARIABLE):
            step, column = divmod(int(trajectory.arrays["final_index"][place[0]]), len(environments))
            where = f"the last observation of the episode that ended at step {step}"
        elif name.startswith(("memory/", "memory_after/")):
            column, where = int(place[0]), "the policy's memory"
        else:
            column, where = int(place[1]), f"step {int(place[0])}"
        return (
            f"{value} in {name} of environment {environments[column]}, {where} of trajectory {trajectory.number} "
            f"of shard {trajectory.shard} (policy version {trajectory.version})"
        )
    return None


class Specification:
    """Dtype and shape of every array of a trajectory: what a sampler may send, and nothing else.

    Made from an ``example`` of a single step, whose time dimensions are then stretched to ``length`` steps.
    """

    def __init__(self, example: Trajectory, length: int):
        self.arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.environments = example.arrays["rewards"].shape[1]
        for name, array in example.arrays.items():
            if name == "tasks":
                self.arrays[name] = ("uint8", (LIMIT,))
                continue
            shape = array.shape
            if name.startswith(_VARIABLE):
                shape = shape[1:]
            elif name != "episode" and not name.startswith(("memory/", "memory_after/")):
                shape = (shape[0] - 1 + length, *shape[1:])
            self.arrays[name] = (array.dtype.name, shape)
        self.steps = example.steps * length
        text = repr((self.steps, sorted(self.arrays.items())))
        self.fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        #: Bytes of each array where it is largest: when an episode ends at every step.
        self.bytes = {
            name: int(np.prod(shape, dtype=np.int64))
            * np.dtype(dtype).itemsize
            * (self.steps if name.startswith(_VARIABLE) else 1)
            for name, (dtype, shape) in self.arrays.items()
        }

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise `ProtocolError` unless these are the arrays of such a trajectory, with indices in range."""
        if arrays.keys() != self.arrays.keys():
            raise ProtocolError(f"a trajectory with other arrays: {sorted(arrays.keys() ^ self.arrays.keys())[:5]}")
        counts = set()
        for name, (dtype, shape) in self.arrays.items():
            array = arrays[name]
            if name == "tasks":
                continue
            variable = name.startswith(_VARIABLE)
            if array.dtype.name != dtype or array.shape[variable:] != shape or array.ndim != len(shape) + variable:
                raise ProtocolError(f"array {name} is {array.dtype.name}{array.shape}, agreed was {dtype}{shape}")
            if variable:
                counts.add(len(array))
        if len(counts) != 1 or max(counts) > self.steps:
            raise ProtocolError("arrays of finished episodes differ in length")
        index = arrays["final_index"]
        if index.size and not (index.min() >= 0 and index.max() < self.steps):
            raise ProtocolError("final_index out of range")
        if arrays["episode"].min() < 0:
            raise ProtocolError("episode numbers are counted from 0")
        if "tasks" in self.arrays:
            self._check_tasks(arrays["tasks"], index.size + self.environments)

    @staticmethod
    def _check_tasks(array: np.ndarray, count: int) -> None:
        if array.dtype != np.uint8 or array.ndim != 1:
            raise ProtocolError(f"tasks are {array.dtype.name}{array.shape}, agreed was uint8[bytes]")
        try:
            found = len(decode_tasks(array))
        except ValueError as error:
            raise ProtocolError(f"tasks that cannot be read: {str(error)[:100]}") from None
        if found != count:
            raise ProtocolError(f"{found} tasks for {count} episodes")

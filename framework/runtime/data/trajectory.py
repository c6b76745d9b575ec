"""A trajectory: what one shard did in ``T`` steps, as flat named arrays, and batches made of several.

Array names are the fields of `framework.interfaces.Batch`; the entries of its dictionaries are named
``field/entry``. Beside them stand ``episode`` [N] int64, the number of the episode in progress after the last step,
``memory_after`` (the policy's memory there), and one row for each finished episode in ``episodes/...``; under a
curriculum also ``tasks`` [bytes], those of the finished episodes and then those of the N in progress. Environments that
offer snapshots add ``snapshots/...``, those that were taken after the last step, of episodes in progress. Where
environments that raise do not end the run, ``failures`` [bytes] tells of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from framework.interfaces import Batch
from framework.runtime.data.failures import Failures, decode_failures
from framework.runtime.data.tasks import decode_tasks

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
    "error": np.int8,  # 1 where the environment raised in its last step, else 0
}

#: Names of the arrays whose leading dimension is the number of finished episodes, or what they begin with.
PER_EPISODE = ("final_index", "final_observations/", "extras/final_", "episodes/")


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

    def failures(self) -> Failures:
        """The episodes that ended because their environments raised, also those that never came to a first step."""
        return decode_failures(self.arrays["failures"]) if "failures" in self.arrays else Failures()


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
        axis = 0 if name.startswith((*PER_EPISODE, "memory/")) else 1
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


def sampler_times(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """``time/acting``, ``time/stepping`` and ``time/total``: seconds that collecting took, summed."""
    return {
        f"time/{name}": sum(getattr(trajectory.timing, name) for trajectory in trajectories)
        for name in ("acting", "stepping", "total")
    }

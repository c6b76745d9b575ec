"""Number, return and length of the episodes in progress, and a row for each that finishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.runtime.data.trajectory import EPISODE_COLUMNS

if TYPE_CHECKING:
    from framework.runtime.rollout.vector import Vector


class EpisodeStats:
    """The episodes in progress of N environments.

    Rewards are added where an episode or a trajectory ends, not at each step; until then they lie in the trajectory.
    """

    def __init__(self, count: int):
        self.number = np.zeros(count, np.int64)  #: [N] which episode of its environment it is, counted from 0
        self.returns = np.zeros(count, np.float64)  #: [N] the sum of its rewards so far
        self.lengths = np.zeros(count, np.int64)  #: [N] its steps so far
        self._uncounted = np.zeros(count, np.int64)  # [N] the step of the trajectory from which rewards are not added

    def begin(self, index: np.ndarray, step: int = 0) -> None:
        """Episodes of the environments ``index`` start before ``step`` of the trajectory."""
        self.returns[index] = 0.0
        self.lengths[index] = 0
        self._uncounted[index] = step

    def count_steps(self, n: int, rewards: np.ndarray, until: int) -> None:
        """Add environment ``n``'s steps before ``until``, of the trajectory's rewards [T, N]."""
        # One by one, in order: pairwise summation would make the last bits depend on where trajectories are cut.
        sums = np.add.accumulate(np.append(self.returns[n], rewards[self._uncounted[n] : until, n]))
        self.returns[n] = sums[-1]
        self.lengths[n] += len(sums) - 1
        self._uncounted[n] = until

    def end_trajectory(self, rewards: np.ndarray) -> None:
        """Add all steps of the trajectory's rewards [T, N] that are left."""
        for n in range(len(self.number)):
            self.count_steps(n, rewards, len(rewards))
        self._uncounted[:] = 0


class FinishedEpisodes:
    """The episodes that end while a trajectory is collected."""

    def __init__(self, environments: Sequence[int]):
        self._environments = environments
        self._index: list[int] = []
        self._observations: dict[str, list[np.ndarray]] = {}
        self._rows: list[tuple[Any, ...]] = []
        self.tasks: list[Any] = []  #: of each of them

    def add(self, t: int, done: np.ndarray, vector: Vector, stats: EpisodeStats, tasks: Sequence[Any]) -> None:
        """The episodes of the environments ``done`` end with step ``t``; ``tasks`` are those of all N."""
        for name, array in vector.observations.items():
            self._observations.setdefault(name, []).append(array[done])
        for n in done.tolist():
            self._index.append(t * len(self._environments) + n)
            played = stats.number[n], stats.returns[n], stats.lengths[n]
            self._rows.append((t, self._environments[n], *played, vector.success[n], n in vector.failed))
            self.tasks.append(tasks[n])

    def index(self) -> np.ndarray:
        """[episodes] int64: ``t * N + n`` of each one's last step."""
        return np.array(self._index, np.int64)

    def observations(self, name: str, like: np.ndarray) -> np.ndarray:
        """[episodes, ...]: the last observations of one leaf, of the dtype and shape of ``like``."""
        rows = self._observations.get(name)
        return np.concatenate(rows) if rows else np.empty((0, *like.shape), like.dtype)

    def columns(self) -> dict[str, np.ndarray]:
        """``{"episodes/COLUMN": [episodes]}`` for each of `EPISODE_COLUMNS`."""
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(EPISODE_COLUMNS)
        return {
            f"episodes/{name}": np.array(column, dtype)
            for (name, dtype), column in zip(EPISODE_COLUMNS.items(), columns, strict=True)
        }

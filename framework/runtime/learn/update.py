"""One update of the algorithm and the curriculum, with what is checked before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from framework.errors import PluginError, RunError
from framework.interfaces import EpisodeScores
from framework.pipeline.sections import Pipeline
from framework.runtime.data.trajectory import Trajectory, collate
from framework.runtime.disk import checkpoint
from framework.runtime.disk.run_directory import Record
from framework.runtime.learn.checks import bad_metrics, bad_value, numbers_by_name
from framework.runtime.learn.state import RunState
from framework.toolkit.offline import OfflineAlgorithm

if TYPE_CHECKING:
    from framework.runtime.learn.follower import Followers


@frozen
class Update:
    """One update of a run that is going on."""

    number: int
    steps: int  #: environment steps so far
    metrics: dict[str, Any]  #: its line of ``metrics.jsonl``
    evaluation: dict[str, Any] | None = None  #: the line of the evaluation that followed it


class Updater:
    """Updates the algorithm and the curriculum of ``state``, on ``device``, together with ``followers``."""

    def __init__(
        self, pipeline: Pipeline, record: Record, state: RunState, device: str, followers: Followers | None = None
    ):
        self._followers = followers
        self._pipeline = pipeline
        self._record = record
        self._state = state
        self._device = device

    def update(
        self, trajectories: list[Trajectory], dropped: list[Trajectory]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Learn from ``trajectories``; returns metrics, and the episodes that ended in them and in ``dropped``.

        Raises `RunError` at numbers that are not finite, with what they were in saved for a look.
        """
        state, sampling = self._state, self._pipeline.sampling
        for trajectory in trajectories:
            first = trajectory.shard * sampling.shard
            if bad := bad_value(trajectory, range(first, first + sampling.shard)):
                raise RunError(f"{bad}; the trajectory is in {self._save_bad([trajectory])}")
        lag = state.update - min(trajectory.version for trajectory in trajectories)
        progress = state.steps / self._pipeline.run.total_steps
        if self._followers is not None:
            self._followers.update(trajectories, progress=progress, lag=lag)
        batch = collate(trajectories, self._device, progress=progress, lag=lag)
        learned = numbers_by_name("the algorithm's update()", state.algorithm.update(batch))
        if self._followers is not None:
            self._followers.check(state.algorithm)
        ended = state.episodes.add([*dropped, *trajectories], self._scores())
        for event in state.environment_errors.add([*dropped, *trajectories], ended):
            self._record.event("environment_failed", **event)
        learned |= state.tasks.update([episode for episode in ended if "error" not in episode])
        if bad := bad_metrics(learned):
            raise RunError(f"update {state.update + 1}: {bad}; the batch is in {self._save_bad(trajectories)}")
        metrics = {"episodes": state.episodes.count, **state.episodes.means(), "lag": lag}
        if sampling.policy_lag == "free":
            metrics["dropped"] = len(dropped)
        if self._pipeline.runtime.on_environment_error == "restart":
            metrics["failed_episodes"] = state.environment_errors.count
        return metrics | learned, ended

    def update_offline(self) -> dict[str, Any]:
        """Learn from the replay buffer alone; returns metrics. Raises `RunError` as `update` does."""
        state = self._state
        algorithm: Any = state.algorithm
        if not isinstance(algorithm, OfflineAlgorithm):
            use = self._pipeline.algorithm.use
            raise PluginError(f'{use} declares that it supports "offline", but has no update_offline()')
        progress = state.steps / self._pipeline.run.total_steps
        metrics = algorithm.update_offline(state.steps_per_update, progress)
        learned = numbers_by_name("the algorithm's update_offline()", metrics)
        if bad := bad_metrics(learned):
            raise RunError(f"update {state.update + 1}, offline: {bad}")
        return {"episodes": state.episodes.count, "lag": 0, **learned}

    def _scores(self) -> Sequence[float]:
        """Of the episodes in the last batch, where a curriculum may want them."""
        algorithm = self._state.algorithm
        if self._pipeline.curriculum is None or not isinstance(algorithm, EpisodeScores):
            return []
        scores: list[float] = algorithm.episode_scores().tolist()
        return scores

    def _save_bad(self, trajectories: list[Trajectory]) -> Path:
        arrays = {f"shard {item.shard}": {**item.arrays, "version": item.version} for item in trajectories}
        return checkpoint.save(self._record.checkpoints, f"bad-{self._state.update:08d}", arrays)

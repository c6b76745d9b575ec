"""Collecting the trajectories of one shard: environments stepped side by side with one policy."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from framework.runtime.data.episode_snapshot import INTERVAL, EpisodeSnapshot, encode_snapshots
from framework.runtime.data.failures import encode_failures
from framework.runtime.data.seeds import episode_seed, task_order_seed, trajectory_seed
from framework.runtime.data.shard import ShardState, digests
from framework.runtime.data.tasks import encode_tasks, in_order
from framework.runtime.data.trajectory import Timing, Trajectory
from framework.runtime.rollout.episode_replay import replay_episodes
from framework.runtime.rollout.episode_stats import EpisodeStats, FinishedEpisodes
from framework.runtime.rollout.failure_log import FailureLog
from framework.runtime.rollout.rollout_buffer import RolloutBuffer, batch_arrays

if TYPE_CHECKING:
    from framework.interfaces import Policy
    from framework.runtime.rollout.vector import Raised, Vector


class Collector:
    """The environments of one shard, and where their episodes stand.

    `restore` comes first; then each `collect` goes on where the last one ended.
    """

    def __init__(self, run_seed: int, shard: int, environments: Sequence[int], vector: Vector, rollout_length: int):
        self._run_seed = run_seed
        self._shard = shard
        self._environments = environments
        self._vector = vector
        self._length = rollout_length
        self._count = len(environments)
        self._number = 0
        self._stats = EpisodeStats(self._count)
        self._failures = FailureLog(environments)
        self._first = np.ones(self._count, bool)
        self._memory: dict[str, torch.Tensor] = {}
        self._tasks: list[Any] = [None] * self._count  # of the episodes in progress
        self._due = np.arange(0)  # environments whose next episode starts with the next trajectory

    @property
    def number(self) -> int:
        """Number of the trajectory that `collect` gives next."""
        return self._number

    def restore(self, state: ShardState | None, policy: Policy) -> list[int]:
        """Go to ``state`` by playing its episodes again, from their snapshots if there are any; or to the beginning.

        Returns the environments (as numbered in the run) that did not arrive at the recorded observation, raised on the
        way to it, or cannot be replayed at all, as where their episodes were too long to be recorded: they start new
        episodes.
        """
        self._failures.clear()
        self._memory = policy.initial_memory(self._count)
        self._number = 0 if state is None else state.number
        self._stats.number = np.zeros(self._count, np.int64) if state is None else state.episode.copy()
        self._due = np.arange(self._count)
        if state is None:
            return []
        if not self._vector.replayable:
            self._stats.number += 1
            return list(self._environments)
        self._tasks = list(state.tasks) if state.tasks else [None] * self._count
        snapshots = self._loadable(state)
        recorded = [state.actions_since(n, snapshots[n]) for n in range(self._count)]
        unrecorded = np.array([episode is None for episode in recorded])
        nothing = np.empty(0, state.action_dtype)
        actions = [nothing if episode is None else episode for episode in recorded]
        failed = self._replay(actions, snapshots)
        self._first = np.array([not len(actions[n]) and snapshots[n] is None for n in range(self._count)])
        self._memory = {name: torch.from_numpy(value.copy()) for name, value in state.memory.items()}
        elsewhere = (digests(self._vector.observations) != state.digest).any(axis=1)
        elsewhere[self._failures.note(failed, self._stats.number)] = True
        lost = np.flatnonzero(elsewhere | unrecorded)
        self._stats.number[lost] += 1
        self._due = lost
        return [self._environments[n] for n in lost.tolist()]

    def collect(self, policy: Policy, version: int, tasks: Sequence[Any] | None = None) -> Trajectory:
        """The next ``T`` steps of the shard, with a policy of this version; new episodes are played on ``tasks``."""
        started = perf_counter()
        self._take_up(tasks or ())
        vector, length = self._vector, self._length
        buffer = RolloutBuffer(length, vector, self._first)
        finished = FinishedEpisodes(self._environments)
        generator = torch.Generator().manual_seed(trajectory_seed(self._run_seed, self._shard, self._number))
        memory = self._memory
        acting = stepping = 0.0
        with torch.inference_mode():
            for t in range(length):
                observations, first, mask = buffer.observe(t, vector)
                before = perf_counter()
                actions, extras, memory = policy.act(observations, memory, first, generator, action_mask=mask)
                between = perf_counter()
                vector.step(actions.numpy())
                stepping += perf_counter() - between
                acting += between - before
                buffer.record(t, actions, extras, vector)
                if vector.self_resetting:
                    self._note_resets(t, buffer)
                if np.count_nonzero(vector.ended):  # many times faster than any()
                    self._finish(t, buffer, finished)
            buffer.observe(length, vector)
            self._first = buffer.first[length].copy()
            self._stats.end_trajectory(buffer.rewards)
            batch = buffer.batch(self._memory, finished)
            batch.extras = policy.postprocess_trajectory(batch)
        self._memory = memory
        trajectory = Trajectory(
            shard=self._shard,
            number=self._number,
            version=version,
            arrays={
                **batch_arrays(batch),
                **finished.columns(),
                "episode": self._stats.number.copy(),
                **self._snapshots(),
                **({} if tasks is None else {"tasks": encode_tasks([*finished.tasks, *self._tasks])}),
                **({"failures": encode_failures(self._failures.take())} if vector.restarts else {}),
                **{f"memory_after/{name}": value.numpy() for name, value in memory.items()},
            },
            timing=Timing(acting=acting, stepping=stepping, total=perf_counter() - started),
        )
        self._number += 1
        return trajectory

    def _snapshots(self) -> dict[str, np.ndarray]:
        """Snapshots of the episodes in progress that another one is due for, where environments offer them."""
        snapshots, stats = self._vector.snapshots, self._stats
        if snapshots is None:
            return {}
        # Whoever collects this trajectory takes the same ones: they depend on nothing but the lengths of episodes.
        before = np.maximum(stats.lengths - self._length, 0)
        due = (stats.lengths // INTERVAL > before // INTERVAL).tolist()
        taken = [
            EpisodeSnapshot(snapshots.save(n), float(stats.returns[n]), int(stats.lengths[n])) if due[n] else None
            for n in range(self._count)
        ]
        return encode_snapshots(taken)

    def _replay(self, actions: Sequence[np.ndarray], snapshots: Sequence[EpisodeSnapshot | None]) -> dict[int, Raised]:
        """Play the episodes in progress again; returns the environments that raised on the way to where they stood.

        Not those that raised before their last reset: what they were given until then were not their own actions.
        """
        vector = self._vector
        failed: dict[int, Raised] = {}

        def reset(index: np.ndarray) -> None:
            for n in index.tolist():
                failed.pop(n, None)
            failed.update(vector.failed)
            self._start_again(index)
            self._load(snapshots, index)

        replay_episodes(vector, actions, reset, self._stats)
        return failed | vector.failed

    def _finish(self, t: int, buffer: RolloutBuffer, finished: FinishedEpisodes) -> None:
        """Record the episodes that end with step ``t``, and start new ones."""
        vector, stats = self._vector, self._stats
        done = np.flatnonzero(vector.ended[0] | vector.ended[1])
        for n in done.tolist():
            stats.count_steps(n, buffer.rewards, t + 1)
        finished.add(t, done, vector, stats, self._tasks)
        if vector.failed:
            self._failures.note(vector.failed, stats.number)
        if not vector.self_resetting:
            stats.number[done] += 1
            self._begin(done, t + 1)
            buffer.first[t + 1, done] = True

    def _note_resets(self, t: int, buffer: RolloutBuffer) -> None:
        """Note the environments that reset themselves in step ``t``, which was not theirs to act in."""
        again = ~self._vector.valid
        buffer.first[t + 1] = again
        self._stats.number[again] += 1
        self._stats.begin(again, t + 1)

    def _take_up(self, tasks: Sequence[Any]) -> None:
        """From here on, new episodes are played on these tasks; start those that are due."""
        self._upcoming = in_order(tasks, task_order_seed(self._run_seed, self._shard, self._number))
        self._begin(self._due)
        self._due = self._due[:0]

    def _begin(self, index: np.ndarray, step: int = 0) -> None:
        """Start new episodes before ``step`` of the trajectory, on the tasks that come next.

        In place of those that fail in reset, the episodes after them start.
        """
        while index.size:
            for n in index.tolist():
                self._tasks[n] = next(self._upcoming)
            self._reset(index, step)
            self._first[index] = True
            if not self._vector.failed:
                break
            index = self._failures.note(self._vector.failed, self._stats.number)
            self._stats.number[index] += 1

    def _loadable(self, state: ShardState) -> list[EpisodeSnapshot | None]:
        """The snapshots of ``state``, without those that the environments here cannot load: of other accounts, say."""
        snapshots = list(state.snapshots or (None,) * self._count)
        index = np.array([n for n in range(self._count) if snapshots[n] is not None], np.int64)
        if index.size:
            self._start_again(index)
            for n in self._load(snapshots, index):
                snapshots[n] = None
        return snapshots

    def _load(self, snapshots: Sequence[EpisodeSnapshot | None], index: np.ndarray) -> list[int]:
        """Go on from the snapshots of environments that were just reset; returns those that stay where they are."""
        offered, refused = self._vector.snapshots, []
        for n in index.tolist():
            snapshot = snapshots[n]
            if snapshot is None:
                continue
            if offered is None or not offered.load(n, snapshot.data):
                refused.append(n)
                continue
            self._stats.returns[n], self._stats.lengths[n] = snapshot.episode_return, snapshot.length
        return refused

    def _start_again(self, index: np.ndarray) -> None:
        """Start the same episodes again, once more where that fails."""
        self._reset(index)
        if self._vector.failed:
            self._reset(np.array(list(self._vector.failed)))

    def _reset(self, index: np.ndarray, step: int = 0) -> None:
        """Start the episodes of the environments ``index`` from their seeds."""
        seeds = [episode_seed(self._run_seed, self._environments[n], int(self._stats.number[n])) for n in index]
        self._vector.reset(index, seeds, [self._tasks[n] for n in index.tolist()])
        self._stats.begin(index, step)

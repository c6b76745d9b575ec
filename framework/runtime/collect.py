"""Collecting the trajectories of one shard: environments stepped side by side with one policy."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from framework.interfaces import Batch
from framework.runtime.seeds import episode_seed, task_order_seed, trajectory_seed
from framework.runtime.shard import ShardState, digests
from framework.runtime.tasks import encode_tasks, in_order
from framework.runtime.trajectory import EPISODE_COLUMNS, Timing, Trajectory
from framework.toolkit.spaces import array_spec

if TYPE_CHECKING:
    from framework.interfaces import Policy
    from framework.runtime.vector import Vector


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
        self._episode = np.zeros(self._count, np.int64)
        self._first = np.ones(self._count, bool)
        self._returns = np.zeros(self._count, np.float64)
        self._lengths = np.zeros(self._count, np.int64)
        self._since = np.zeros(self._count, np.int64)  # the step from which rewards are not in ``_returns`` yet
        self._memory: dict[str, torch.Tensor] = {}
        self._tasks: list[Any] = [None] * self._count  # of the episodes in progress
        self._due = np.arange(0)  # environments whose next episode starts with the next trajectory

    @property
    def number(self) -> int:
        """Number of the trajectory that `collect` gives next."""
        return self._number

    def restore(self, state: ShardState | None, policy: Policy) -> list[int]:
        """Go to ``state`` by playing its episodes again, or to the very beginning.

        Returns the environments (as numbered in the run) that did not arrive at the recorded observation or cannot be
        replayed at all: they start new episodes.
        """
        self._memory = policy.initial_memory(self._count)
        self._number = 0 if state is None else state.number
        self._episode = np.zeros(self._count, np.int64) if state is None else state.episode.copy()
        self._due = np.arange(self._count)
        if state is None:
            return []
        if not self._vector.replayable:
            self._episode += 1
            return list(self._environments)
        self._tasks = list(state.tasks) if state.tasks else [None] * self._count
        self._replay([np.concatenate(pieces) for pieces in state.actions])
        self._memory = {name: torch.from_numpy(value.copy()) for name, value in state.memory.items()}
        lost = np.flatnonzero((digests(self._vector.observations) != state.digest).any(axis=1))
        self._episode[lost] += 1
        self._due = lost
        return [self._environments[n] for n in lost.tolist()]

    def collect(self, policy: Policy, version: int, tasks: Sequence[Any] | None = None) -> Trajectory:
        """The next ``T`` steps of the shard, with a policy of this version; new episodes are played on ``tasks``."""
        started = perf_counter()
        self._take_up(tasks or ())
        vector, length = self._vector, self._length
        store = {
            name: np.empty((length + 1, self._count, *shape), dtype)
            for name, (dtype, shape) in ((name, array_spec(leaf)) for name, leaf in vector.observation_space.items())
        }
        masks = None if vector.action_mask is None else np.empty((length + 1, *vector.action_mask.shape), bool)
        rewards = np.empty((length, self._count), np.float32)
        ended = np.empty((length, 2, self._count), bool)
        valid = np.ones((length, self._count), bool)
        first = np.zeros((length + 1, self._count), bool)
        first[0] = self._first
        rows = [
            dict(zip(store, tensors, strict=True))
            for tensors in zip(*(torch.from_numpy(array).unbind(0) for array in store.values()), strict=True)
        ]
        first_rows = torch.from_numpy(first).unbind(0)
        mask_rows = None if masks is None else torch.from_numpy(masks).unbind(0)
        generator = torch.Generator().manual_seed(trajectory_seed(self._run_seed, self._shard, self._number))
        ends = _Ends(self._environments)
        taken, recorded = [], []
        memory_before, memory = self._memory, self._memory
        acting = stepping = 0.0
        with torch.inference_mode():
            for t in range(length):
                for name, array in vector.observations.items():
                    store[name][t] = array
                mask = None
                if masks is not None and mask_rows is not None:
                    masks[t] = vector.action_mask
                    mask = mask_rows[t]
                before = perf_counter()
                actions, extras, memory = policy.act(rows[t], memory, first_rows[t], generator, action_mask=mask)
                taken.append(actions)
                recorded.append(extras)
                between = perf_counter()
                vector.step(actions.numpy())
                stepping += perf_counter() - between
                acting += between - before
                rewards[t] = vector.rewards
                ended[t] = vector.ended
                if vector.self_resetting:
                    valid[t] = vector.valid
                    self._restarted(t, ~vector.valid, rewards, first)
                if np.count_nonzero(vector.ended):  # many times faster than any()
                    self._finish(t, rewards, first, ends)
            for name, array in vector.observations.items():
                store[name][length] = array
            self._first = first[length].copy()
            self._carry(rewards, length)
            if masks is not None:
                masks[length] = vector.action_mask
            batch = Batch(
                observations={name: torch.from_numpy(array) for name, array in store.items()},
                actions=torch.stack(taken),
                rewards=torch.from_numpy(rewards),
                terminated=torch.from_numpy(ended[:, 0]),
                truncated=torch.from_numpy(ended[:, 1]),
                first=torch.from_numpy(first),
                valid=torch.from_numpy(valid),
                final_index=torch.from_numpy(ends.index()),
                final_observations={
                    name: torch.from_numpy(ends.observations(name, array[0, 0])) for name, array in store.items()
                },
                action_mask=None if masks is None else torch.from_numpy(masks),
                extras={name: torch.stack([extras[name] for extras in recorded]) for name in recorded[0]},
                memory=memory_before,
            )
            batch.extras = policy.complete(batch)
        self._memory = memory
        trajectory = Trajectory(
            shard=self._shard,
            number=self._number,
            version=version,
            arrays={
                **_arrays(batch),
                **ends.columns(),
                "episode": self._episode.copy(),
                **({} if tasks is None else {"tasks": encode_tasks([*ends.tasks, *self._tasks])}),
                **{f"memory_after/{name}": value.numpy() for name, value in memory.items()},
            },
            timing=Timing(acting=acting, stepping=stepping, total=perf_counter() - started),
        )
        self._number += 1
        return trajectory

    def _finish(self, t: int, rewards: np.ndarray, first: np.ndarray, ends: _Ends) -> None:
        """Record the episodes that end with step ``t``, and start new ones."""
        vector = self._vector
        done = np.flatnonzero(vector.ended[0] | vector.ended[1])
        for n in done.tolist():
            self._count_steps(n, rewards, t + 1)
        ends.add(t, done, vector, self._episode, self._returns, self._lengths)
        ends.tasks += [self._tasks[n] for n in done.tolist()]
        if not vector.self_resetting:
            self._episode[done] += 1
            self._begin(done)
            self._since[done] = t + 1
            first[t + 1, done] = True

    def _restarted(self, t: int, again: np.ndarray, rewards: np.ndarray, first: np.ndarray) -> None:
        """Book the environments that reset themselves in step ``t``, which was not theirs to act in."""
        first[t + 1] = again
        self._episode[again] += 1
        self._returns[again] = 0.0
        self._lengths[again] = 0
        self._since[again] = t + 1

    def _carry(self, rewards: np.ndarray, length: int) -> None:
        """Add the steps of the episodes in progress to their returns and lengths."""
        for n in range(self._count):
            self._count_steps(n, rewards, length)
        self._since[:] = 0

    def _count_steps(self, n: int, rewards: np.ndarray, until: int) -> None:
        # One by one, in order: pairwise summation would make the last bits depend on where trajectories are cut.
        steps = np.add.accumulate(np.append(self._returns[n], rewards[self._since[n] : until, n]))
        self._returns[n] = steps[-1]
        self._lengths[n] += len(steps) - 1
        self._since[n] = until

    def _take_up(self, tasks: Sequence[Any]) -> None:
        """From here on, new episodes are played on these tasks; start those that are due."""
        self._upcoming = in_order(tasks, task_order_seed(self._run_seed, self._shard, self._number))
        self._begin(self._due)
        self._due = self._due[:0]

    def _begin(self, index: np.ndarray) -> None:
        """Start new episodes, on the tasks that come next."""
        for n in index.tolist():
            self._tasks[n] = next(self._upcoming)
        if index.size:
            self._reset(index)

    def _reset(self, index: np.ndarray) -> None:
        seeds = [episode_seed(self._run_seed, self._environments[n], int(self._episode[n])) for n in index]
        self._vector.reset(index, seeds, [self._tasks[n] for n in index.tolist()])
        self._first[index] = True
        self._returns[index] = 0.0
        self._lengths[index] = 0

    def _replay(self, actions: Sequence[np.ndarray]) -> None:
        """Play these actions from the seeds of the episodes in progress, all environments at once.

        Episodes differ in length, and all must arrive in the last step. So a shorter one is played over and over:
        the last pass, which is the one that counts, starts just in time.
        """
        vector = self._vector
        longest = max(actions, key=len)
        self._reset(np.arange(self._count))
        for step in range(len(longest)):
            positions = [(len(own) - len(longest) + step) % len(own) if len(own) else 0 for own in actions]
            again = np.array([n for n, position in enumerate(positions) if position == 0 and step > 0], np.int64)
            if again.size:
                self._reset(again)
            vector.step(
                np.stack([own[p] if len(own) else longest[0] for own, p in zip(actions, positions, strict=True)])
            )
            self._returns += vector.rewards
            self._lengths += vector.valid
            self._first = np.zeros(self._count, bool)
            over = np.flatnonzero(vector.terminated | vector.truncated)
            if over.size:  # only ever in a pass that does not count
                self._reset(over)
        fresh = np.array([n for n, own in enumerate(actions) if not len(own)], np.int64)
        if fresh.size:
            self._reset(fresh)


class _Ends:
    """The episodes that end while a trajectory is collected."""

    def __init__(self, environments: Sequence[int]):
        self._environments = environments
        self._index: list[int] = []
        self._observations: dict[str, list[np.ndarray]] = {}
        self._rows: list[tuple[Any, ...]] = []
        self.tasks: list[Any] = []

    def add(
        self, t: int, done: np.ndarray, vector: Vector, episode: np.ndarray, returns: np.ndarray, lengths: np.ndarray
    ) -> None:
        for name, array in vector.observations.items():
            self._observations.setdefault(name, []).append(array[done])
        for n in done.tolist():
            self._index.append(t * len(self._environments) + n)
            self._rows.append((t, self._environments[n], episode[n], returns[n], lengths[n], vector.success[n]))

    def index(self) -> np.ndarray:
        return np.array(self._index, np.int64)

    def observations(self, name: str, like: np.ndarray) -> np.ndarray:
        rows = self._observations.get(name)
        return np.concatenate(rows) if rows else np.empty((0, *like.shape), like.dtype)

    def columns(self) -> dict[str, np.ndarray]:
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(EPISODE_COLUMNS)
        return {
            f"episodes/{name}": np.array(column, dtype)
            for (name, dtype), column in zip(EPISODE_COLUMNS.items(), columns, strict=True)
        }


def _arrays(batch: Batch) -> dict[str, np.ndarray]:
    """The batch as flat named arrays, C-contiguous."""
    named = {name: getattr(batch, name) for name in ("actions", "rewards", "terminated", "truncated", "first", "valid")}
    named["final_index"] = batch.final_index
    if batch.action_mask is not None:
        named["action_mask"] = batch.action_mask
    for name in ("observations", "final_observations", "extras", "memory"):
        named |= {f"{name}/{key}": value for key, value in getattr(batch, name).items()}
    return {name: np.ascontiguousarray(value.numpy()) for name, value in named.items()}

from typing import Any

import numpy as np
import torch
import trajectories
from attrs import evolve

from framework.runtime.data.failures import Failure, Failures, encode_failures
from framework.runtime.data.tasks import encode_tasks
from framework.runtime.data.trajectory import EPISODE_COLUMNS, Timing, Trajectory, collate, group, sampler_times

STEPS, ENVIRONMENTS = 6, 3


def make(seed: int = 0, **options: Any) -> Trajectory:
    """A trajectory of `STEPS` steps and `ENVIRONMENTS` environments."""
    return trajectories.make(seed, **{"steps": STEPS, "environments": ENVIRONMENTS} | options)


def with_array(trajectory: Trajectory, name: str, array: np.ndarray) -> Trajectory:
    """The same trajectory with one other array."""
    return evolve(trajectory, arrays=trajectory.arrays | {name: array})


# Batches.


def test_collate_puts_shards_side_by_side() -> None:
    """Column for column the batch is the shards' count data, in the order given; rows of finished episodes too."""
    shards = [make(seed, shard=seed, environments=environments) for seed, environments in ((2, 3), (0, 1), (1, 4))]
    batch = collate(shards, progress=0.25, lag=2)
    total = 8
    assert (batch.progress, batch.lag, batch.steps) == (0.25, 2, STEPS * total)
    column = 0
    ends = []
    for trajectory in shards:
        arrays = trajectory.arrays
        count = arrays["rewards"].shape[1]
        columns = slice(column, column + count)
        for name in ("actions", "rewards", "terminated", "truncated", "first", "valid", "action_mask"):
            np.testing.assert_array_equal(getattr(batch, name).numpy()[:, columns], arrays[name])
        for name in ("position", "camera/left"):
            np.testing.assert_array_equal(batch.observations[name].numpy()[:, columns], arrays[f"observations/{name}"])
        np.testing.assert_array_equal(batch.extras["value"].numpy()[:, columns], arrays["extras/value"])
        np.testing.assert_array_equal(batch.memory["h"].numpy()[columns], arrays["memory/h"])
        for row, index in enumerate(arrays["final_index"].tolist()):
            ends.append((index // count, column + index % count, trajectory, row))
        column += count
    assert batch.rewards.shape == (STEPS, total)
    assert len(batch.final_index) == len(ends) > 0
    for row, (step, environment, trajectory, shard_row) in enumerate(ends):
        assert int(batch.final_index[row]) == step * total + environment
        assert bool((batch.terminated | batch.truncated)[step, environment])
        for name, tensor in (*batch.final_observations.items(), ("final_value", batch.extras["final_value"])):
            prefix = "extras" if name == "final_value" else "final_observations"
            np.testing.assert_array_equal(tensor[row].numpy(), trajectory.arrays[f"{prefix}/{name}"][shard_row])


def test_collate_keeps_dtypes() -> None:
    """Images stay uint8, actions int64, flags bool."""
    batch = collate([make()])
    assert batch.observations["camera/left"].dtype == torch.uint8
    assert (batch.actions.dtype, batch.first.dtype, batch.final_index.dtype) == (torch.int64, torch.bool, torch.int64)
    assert batch.rewards.dtype == torch.float32


def test_collate_owns_its_memory() -> None:
    """What an algorithm does to a batch does not reach the trajectory, which may lie in a read-only frame."""
    trajectory = make()
    before = {name: array.copy() for name, array in trajectory.arrays.items()}
    for array in trajectory.arrays.values():
        array.flags.writeable = False
    batch = collate([trajectory])
    batch.rewards.zero_()
    batch.observations["position"].zero_()
    batch.memory["h"].zero_()
    assert all((trajectory.arrays[name] == array).all() for name, array in before.items())


def test_collate_without_ends_masks_and_memory() -> None:
    """A trajectory in which no episode ended, of an environment without masks and a policy without memory."""
    whole = make(first=np.zeros((STEPS + 1, ENVIRONMENTS))).arrays
    left = {name: array for name, array in whole.items() if name != "action_mask" and not name.startswith("memory")}
    batch = collate([Trajectory(0, 0, 0, left), Trajectory(1, 0, 0, left)])
    assert batch.action_mask is None
    assert batch.memory == {}
    assert batch.final_index.shape == (0,)
    assert batch.final_observations["camera/left"].shape == (0, 2, 2)


# Episodes.


def test_episodes_are_plain_rows() -> None:
    """One row of plain values for each episode, in the order of their ends."""
    trajectory = make(3)
    episodes = trajectory.episodes()
    columns = {name: trajectory.arrays[f"episodes/{name}"] for name in EPISODE_COLUMNS}
    assert len(episodes) == len(columns["step"]) > 0
    for row, episode in enumerate(episodes):
        assert episode == {name: column[row] for name, column in columns.items()}
        assert {type(value) for value in episode.values()} == {int, float}
    assert [episode["step"] for episode in episodes] == sorted(episode["step"] for episode in episodes)
    assert make(first=np.zeros((STEPS + 1, ENVIRONMENTS))).episodes() == []


def test_group_strips_prefixes() -> None:
    """Only whole prefixes count: ``memory`` is not ``memory_after``, and deeper names keep their path."""
    names = dict.fromkeys(("memory/h", "memory/a/b", "memory_after/h", "memory"), 0)
    assert list(group(names, "memory")) == ["h", "a/b"]


# Tasks.


def test_tasks_are_those_of_the_finished_and_of_the_running() -> None:
    """Finished episodes carry the first of the tasks, in the order of their ends; the rest are in progress."""
    trajectory = make(first=np.ones((STEPS + 1, ENVIRONMENTS)))
    ended = len(trajectory.arrays["final_index"])
    tasks = [*({"level": index} for index in range(ended)), "x", "y", "z"]
    with_tasks = with_array(trajectory, "tasks", encode_tasks(tasks))
    assert [episode["task"] for episode in with_tasks.episodes()] == tasks[:ended]
    assert with_tasks.tasks() == ("x", "y", "z")
    assert trajectory.tasks() == ()
    assert all("task" not in episode for episode in trajectory.episodes())


def test_times_are_summed() -> None:
    """Over all trajectories, under the names of the metrics."""
    timings = [Timing(acting=1.0, stepping=2.0, total=4.0), Timing(acting=0.5, stepping=0.25, total=1.0)]
    times = sampler_times([evolve(make(), timing=timing) for timing in timings])
    assert times == {"time/acting": 1.5, "time/stepping": 2.25, "time/total": 5.0}


def test_failures_are_those_of_its_array() -> None:
    """None without one: where environments that raise end the run."""
    failures = Failures(2, (Failure(7, 1, "reset", "OSError: gone", "Traceback"),))
    assert with_array(make(), "failures", encode_failures(failures)).failures() == failures
    assert make().failures() == Failures(0, ())

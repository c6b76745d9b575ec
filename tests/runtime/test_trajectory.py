import math
from typing import Any

import numpy as np
import pytest
import torch
import trajectories
from attrs import evolve

from framework.runtime.tasks import encode_tasks
from framework.runtime.trajectory import EPISODE_COLUMNS, Specification, Trajectory, bad_value, collate, group
from framework.runtime.wire import ProtocolError

STEPS, ENVIRONMENTS = 6, 3
SPECIFICATION = Specification(trajectories.make(steps=1, environments=ENVIRONMENTS), STEPS)


def make(seed: int = 0, **how: Any) -> Trajectory:
    """A trajectory that `SPECIFICATION` is about."""
    return trajectories.make(seed, **{"steps": STEPS, "environments": ENVIRONMENTS} | how)


def with_array(trajectory: Trajectory, name: str, array: np.ndarray) -> Trajectory:
    """The same trajectory with one other array."""
    return evolve(trajectory, arrays=trajectory.arrays | {name: array})


# What a sampler may send.


@pytest.mark.parametrize("episodes", ["none", "some", "at every step"])
def test_specification_accepts_what_its_example_promises(episodes: str) -> None:
    """An example of one step stands for trajectories of T steps, with any number of finished episodes."""
    chance = {"none": 0.0, "some": 0.3, "at every step": 1.0}[episodes]
    first = np.random.default_rng(1).random((STEPS + 1, ENVIRONMENTS)) < chance
    for seed in range(3):
        SPECIFICATION.check(make(seed, first=first).arrays)


def test_specification_counts_bytes() -> None:
    """``bytes`` is what each array has where it is largest: when an episode ends at every step."""
    largest = make(first=np.ones((STEPS + 1, ENVIRONMENTS)))
    assert SPECIFICATION.bytes == {name: array.nbytes for name, array in largest.arrays.items()}
    assert SPECIFICATION.steps == STEPS * ENVIRONMENTS == largest.steps


def test_fingerprint_tells_specifications_apart() -> None:
    """Equal for equal arrays, whatever their values; other for other lengths, dtypes, shapes and names."""

    def fingerprint(example: Trajectory, length: int = STEPS) -> str:
        return Specification(example, length).fingerprint

    one = trajectories.make(1, steps=1, environments=ENVIRONMENTS)
    mine = SPECIFICATION.fingerprint
    assert fingerprint(one) == mine
    assert fingerprint(one, STEPS + 1) != mine
    assert fingerprint(trajectories.make(steps=1, environments=ENVIRONMENTS + 1)) != mine
    assert fingerprint(with_array(one, "rewards", one.arrays["rewards"].astype(np.float64))) != mine
    assert fingerprint(with_array(one, "extras/more", one.arrays["rewards"])) != mine
    without = {name: array for name, array in one.arrays.items() if name != "action_mask"}
    assert fingerprint(evolve(one, arrays=without)) != mine


@pytest.mark.parametrize("name", sorted(SPECIFICATION.arrays))
def test_specification_refuses_every_other_array(name: str) -> None:
    """Each array must be there, with its dtype, its number of dimensions and its shape."""
    whole = make().arrays
    array = whole[name]
    wrong = {
        "missing": {key: value for key, value in whole.items() if key != name},
        "dtype": whole | {name: array.astype(np.float16)},
        "signed": whole | {name: array.view(f"V{array.itemsize}")},
        "more dimensions": whole | {name: array[..., None]},
        "fewer dimensions": whole | {name: array.reshape(-1)[0]},
        "scalar": whole | {name: np.array(0, array.dtype)},
        "longer": whole | {name: np.concatenate([array, array[-1:]])},
        "shorter": whole | {name: array[:-1]},
        "empty": whole | {name: array[:0]},
        "wider": whole | {name: np.stack([array] * 2, axis=-1).reshape(len(array), -1)},
    }
    for what, arrays in wrong.items():
        if what == "wider" and array.ndim == 1:
            continue
        with pytest.raises(ProtocolError):
            SPECIFICATION.check(arrays)


def test_specification_refuses_unknown_arrays() -> None:
    """An array that was not agreed on is refused, and named."""
    with pytest.raises(ProtocolError, match="extras/more"):
        SPECIFICATION.check(make().arrays | {"extras/more": np.zeros(1)})


@pytest.mark.parametrize("index", [-1, STEPS * ENVIRONMENTS, 2**40, -(2**63)])
def test_specification_refuses_indices_out_of_range(index: int) -> None:
    """``final_index`` indexes arrays at the learner, so it must lie within them."""
    trajectory = make(first=np.ones((STEPS + 1, ENVIRONMENTS)))
    indices = trajectory.arrays["final_index"].copy()
    indices[3] = index
    with pytest.raises(ProtocolError, match="final_index"):
        SPECIFICATION.check(trajectory.arrays | {"final_index": indices})


def test_specification_refuses_negative_episode_numbers() -> None:
    """No seed can be made of them, so they would stop whoever takes the shard over."""
    with pytest.raises(ProtocolError, match="episode"):
        SPECIFICATION.check(make().arrays | {"episode": np.array([0, -1, 0])})


def test_specification_refuses_more_episodes_than_steps() -> None:
    """Arrays of finished episodes are bounded by the steps, and belong to the same episodes."""
    variable = ("final_", "extras/final_", "episodes/")
    whole = make(first=np.ones((STEPS + 1, ENVIRONMENTS))).arrays
    doubled = {name: np.concatenate([array, array]) for name, array in whole.items() if name.startswith(variable)}
    with pytest.raises(ProtocolError, match="finished episodes"):
        SPECIFICATION.check(whole | doubled)
    halved = {name: array[:1] for name, array in whole.items() if name.startswith("episodes/")}
    with pytest.raises(ProtocolError, match="finished episodes"):
        SPECIFICATION.check(whole | halved)


# Batches.


def test_collate_puts_shards_side_by_side() -> None:
    """Column for column the batch is the shards' own data, in the order given; rows of finished episodes too."""
    shards = [make(seed, shard=seed, environments=count) for seed, count in ((2, 3), (0, 1), (1, 4))]
    batch = collate(shards, progress=0.25, lag=2)
    total = 8
    assert (batch.progress, batch.lag, batch.steps) == (0.25, 2, STEPS * total)
    column = 0
    ends = []
    for trajectory in shards:
        arrays = trajectory.arrays
        own = arrays["rewards"].shape[1]
        columns = slice(column, column + own)
        for name in ("actions", "rewards", "terminated", "truncated", "first", "valid", "action_mask"):
            np.testing.assert_array_equal(getattr(batch, name).numpy()[:, columns], arrays[name])
        for name in ("position", "camera/left"):
            np.testing.assert_array_equal(batch.observations[name].numpy()[:, columns], arrays[f"observations/{name}"])
        np.testing.assert_array_equal(batch.extras["value"].numpy()[:, columns], arrays["extras/value"])
        np.testing.assert_array_equal(batch.memory["h"].numpy()[columns], arrays["memory/h"])
        for row, index in enumerate(arrays["final_index"].tolist()):
            ends.append((index // own, column + index % own, trajectory, row))
        column += own
    assert batch.rewards.shape == (STEPS, total)
    assert len(batch.final_index) == len(ends) > 0
    for row, (step, environment, trajectory, own_row) in enumerate(ends):
        assert int(batch.final_index[row]) == step * total + environment
        assert bool((batch.terminated | batch.truncated)[step, environment])
        for name, tensor in (*batch.final_observations.items(), ("final_value", batch.extras["final_value"])):
            prefix = "extras" if name == "final_value" else "final_observations"
            np.testing.assert_array_equal(tensor[row].numpy(), trajectory.arrays[f"{prefix}/{name}"][own_row])


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


# Values.


def test_good_values_pass() -> None:
    """Nothing is found in finite data."""
    assert bad_value(make(), range(ENVIRONMENTS)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("name", "place", "step"),
    [
        ("observations/position", (4, 1, 2), "step 4"),
        ("rewards", (3, 1), "step 3"),
        ("extras/value", (6, 1), "step 6"),
        ("memory/h", (1, 2), "the policy's memory"),
        ("memory_after/h", (1, 0), "the policy's memory"),
    ],
)
def test_bad_values_are_named(value: float, name: str, place: tuple[int, ...], step: str) -> None:
    """NaN and infinity are reported with their array, environment (as numbered in the run), step and trajectory."""
    trajectory = make(shard=2, number=17, version=16)
    array = trajectory.arrays[name].copy()
    array[place] = value
    found = bad_value(with_array(trajectory, name, array), range(6, 9))
    assert found == (f"{value} in {name} of environment 7, {step} of trajectory 17 of shard 2 (policy version 16)")


@pytest.mark.parametrize("name", ["final_observations/position", "extras/final_value"])
def test_bad_last_observations_are_named(name: str) -> None:
    """What belongs to the end of an episode is found by the step of that end, not by its row."""
    first = np.zeros((STEPS + 1, ENVIRONMENTS))
    first[2, 0] = first[5, 2] = 1
    trajectory = make(first=first)
    array = trajectory.arrays[name].copy()
    array[1] = math.nan
    found = bad_value(with_array(trajectory, name, array), range(ENVIRONMENTS))
    assert found is not None
    assert found.startswith(
        f"nan in {name} of environment 2, the last observation of the episode that ended at step 4 "
    )


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


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (encode_tasks(range(ENVIRONMENTS + 1)), "tasks for"),
        (np.frombuffer(b"[1, 2", np.uint8), "cannot be read"),
        (np.frombuffer(b"{}", np.uint8), "cannot be read"),
        (np.zeros(3, np.float32), "agreed was"),
        (np.zeros((3, 1), np.uint8), "agreed was"),
    ],
)
def test_specification_refuses_other_tasks(tasks: np.ndarray, message: str) -> None:
    """There must be one for each finished episode and each environment, as bytes of JSON."""
    example = with_array(
        trajectories.make(steps=1, environments=ENVIRONMENTS, first=np.zeros((2, ENVIRONMENTS))),
        "tasks",
        encode_tasks(range(ENVIRONMENTS)),
    )
    specification = Specification(example, STEPS)
    quiet = make(first=np.zeros((STEPS + 1, ENVIRONMENTS)))
    specification.check(with_array(quiet, "tasks", encode_tasks(["a", 2, None])).arrays)
    with pytest.raises(ProtocolError, match=message):
        specification.check(with_array(quiet, "tasks", tasks).arrays)
    with pytest.raises(ProtocolError, match="other arrays"):
        specification.check(quiet.arrays)

from typing import Any

import numpy as np
import pytest
import trajectories
from attrs import evolve

from framework.runtime.data.episode_snapshot import LIMIT, EpisodeSnapshot, encode_snapshots
from framework.runtime.data.failures import Failure, Failures, encode_failures
from framework.runtime.data.specification import Specification, SpecificationError
from framework.runtime.data.tasks import encode_tasks
from framework.runtime.data.trajectory import Trajectory

STEPS, ENVIRONMENTS = 6, 3
SPECIFICATION = Specification(trajectories.make(steps=1, environments=ENVIRONMENTS), STEPS)


def make(seed: int = 0, **options: Any) -> Trajectory:
    """A trajectory that `SPECIFICATION` is about."""
    return trajectories.make(seed, **{"steps": STEPS, "environments": ENVIRONMENTS} | options)


def with_array(trajectory: Trajectory, name: str, array: np.ndarray) -> Trajectory:
    """The same trajectory with one other array."""
    return evolve(trajectory, arrays=trajectory.arrays | {name: array})


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

    trajectory = trajectories.make(1, steps=1, environments=ENVIRONMENTS)
    expected = SPECIFICATION.fingerprint
    assert fingerprint(trajectory) == expected
    assert fingerprint(trajectory, STEPS + 1) != expected
    assert fingerprint(trajectories.make(steps=1, environments=ENVIRONMENTS + 1)) != expected
    assert fingerprint(with_array(trajectory, "rewards", trajectory.arrays["rewards"].astype(np.float64))) != expected
    assert fingerprint(with_array(trajectory, "extras/more", trajectory.arrays["rewards"])) != expected
    without = {name: array for name, array in trajectory.arrays.items() if name != "action_mask"}
    assert fingerprint(evolve(trajectory, arrays=without)) != expected


@pytest.mark.parametrize("name", sorted(SPECIFICATION.arrays))
def test_specification_refuses_every_other_array(name: str) -> None:
    """Each array must be there, with its dtype, its number of dimensions and its shape."""
    whole = make().arrays
    array = whole[name]
    altered = {
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
    for change, arrays in altered.items():
        if change == "wider" and array.ndim == 1:
            continue
        with pytest.raises(SpecificationError):
            SPECIFICATION.check(arrays)


def test_specification_refuses_unknown_arrays() -> None:
    """An array that was not agreed on is refused, and named."""
    with pytest.raises(SpecificationError, match="extras/more"):
        SPECIFICATION.check(make().arrays | {"extras/more": np.zeros(1)})


@pytest.mark.parametrize("index", [-1, STEPS * ENVIRONMENTS, 2**40, -(2**63)])
def test_specification_refuses_indices_out_of_range(index: int) -> None:
    """``final_index`` indexes arrays at the learner, so it must lie within them."""
    trajectory = make(first=np.ones((STEPS + 1, ENVIRONMENTS)))
    indices = trajectory.arrays["final_index"].copy()
    indices[3] = index
    with pytest.raises(SpecificationError, match="final_index"):
        SPECIFICATION.check(trajectory.arrays | {"final_index": indices})


def test_specification_refuses_negative_episode_numbers() -> None:
    """No seed can be made of them, so they would stop whoever takes the shard over."""
    with pytest.raises(SpecificationError, match="episode"):
        SPECIFICATION.check(make().arrays | {"episode": np.array([0, -1, 0])})


def test_specification_refuses_more_episodes_than_steps() -> None:
    """Arrays of finished episodes are bounded by the steps, and belong to the same episodes."""
    variable = ("final_", "extras/final_", "episodes/")
    whole = make(first=np.ones((STEPS + 1, ENVIRONMENTS))).arrays
    doubled = {name: np.concatenate([array, array]) for name, array in whole.items() if name.startswith(variable)}
    with pytest.raises(SpecificationError, match="finished episodes"):
        SPECIFICATION.check(whole | doubled)
    halved = {name: array[:1] for name, array in whole.items() if name.startswith("episodes/")}
    with pytest.raises(SpecificationError, match="finished episodes"):
        SPECIFICATION.check(whole | halved)


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
    with pytest.raises(SpecificationError, match=message):
        specification.check(with_array(quiet, "tasks", tasks).arrays)
    with pytest.raises(SpecificationError, match="other arrays"):
        specification.check(quiet.arrays)


def snapshots(*of_environments: EpisodeSnapshot | None) -> dict[str, np.ndarray]:
    """The arrays of a trajectory with these snapshots."""
    return make().arrays | encode_snapshots(of_environments)


def test_snapshots_are_of_any_size_within_a_limit() -> None:
    """Whether or not they are due; they must be the bytes that they say, as many as there are environments."""
    example = trajectories.make(steps=1, environments=ENVIRONMENTS)
    arrays = example.arrays | encode_snapshots([None] * ENVIRONMENTS)
    specification = Specification(evolve(example, arrays=arrays), STEPS)
    some = EpisodeSnapshot(b"where it stood", 1.5, 9)
    for taken in ([None, None, None], [some, None, some]):
        specification.check(snapshots(*taken))
    assert specification.bytes["snapshots/data"] == ENVIRONMENTS * LIMIT
    for bad in (
        snapshots(some, some),
        snapshots(None, None, some) | {"snapshots/data": np.zeros(3, np.uint8)},
        snapshots(None, None, some) | {"snapshots/data": np.zeros(14, np.int8)},
        snapshots(None, None, some) | {"snapshots/bytes": np.array([-1, 15, -1])},
        make().arrays,
    ):
        with pytest.raises(SpecificationError, match="snapshots"):
            specification.check(bad)
    with pytest.raises(SpecificationError, match="other arrays"):
        SPECIFICATION.check(snapshots(some, some, some))


def failures(count: int, told: int = 0) -> np.ndarray:
    return encode_failures(Failures(count, (Failure(0, 1, "step", "gone", ""),) * told))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (failures(2 * ENVIRONMENTS + 1), "7 failures where 0 episodes ended"),
        (np.frombuffer(b"[1, 2", np.uint8), "failures that cannot be read"),
        (np.frombuffer(b"[1, 2]", np.uint8), "failures that cannot be read: a failure with other fields"),
        (np.zeros(3, np.float32), "failures are float32"),
        (np.full(2**20 + 1, ord(" "), np.uint8), "failures are uint8"),
    ],
)
def test_specification_refuses_other_failures(array: np.ndarray, message: str) -> None:
    """They are agreed on by their example, small, and no more than episodes can have failed."""
    example = trajectories.make(steps=1, environments=ENVIRONMENTS)
    specification = Specification(with_array(example, "failures", failures(0)), STEPS)
    assert specification.fingerprint != SPECIFICATION.fingerprint
    quiet = make(first=np.zeros((STEPS + 1, ENVIRONMENTS)))
    specification.check(with_array(quiet, "failures", failures(2 * ENVIRONMENTS, 3)).arrays)
    with pytest.raises(SpecificationError, match=message):
        specification.check(with_array(quiet, "failures", array).arrays)
    with pytest.raises(SpecificationError, match="other arrays"):
        specification.check(quiet.arrays)

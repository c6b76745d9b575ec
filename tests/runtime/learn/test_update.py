from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import trajectories
from attrs import evolve

import framework
from framework.errors import RunError
from framework.interfaces import Batch
from framework.runtime.data.failures import Failure, Failures, encode_failures
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.disk.checkpoint import load
from framework.runtime.disk.run_directory import Record
from framework.runtime.learn.curriculum import TaskSource
from framework.runtime.learn.state import RunState
from framework.runtime.learn.update import Updater


class Remembering:
    """An algorithm that keeps the batches it learns from, and says what the test tells it to."""

    policy: Any = None

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.metrics: Any = {"loss": 0.5}

    def update(self, batch: Batch) -> Any:
        self.batches.append(batch)
        return self.metrics


class Update:
    """Updates of a run with two shards of two environments, at its third update."""

    def __init__(self, folder: Path, record: Record, **overrides: Any):
        values = {"run.total_steps": 160, "sampling.environments": 4, "sampling.rollout_length": 4, **overrides}
        pipeline = framework.load(runs.write(folder), values)
        self.algorithm = Remembering()
        self.state = RunState(self.algorithm, TaskSource(None, 0, 0), 1, 16, update=3)  # type: ignore[arg-type]
        self.updater = Updater(pipeline, record, self.state, "cpu")

    def __call__(self, *learned: Trajectory, dropped: tuple[Trajectory, ...] = ()) -> tuple[dict[str, Any], Any]:
        return self.updater.update(list(learned), list(dropped))


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record(tmp_path)
    yield record
    record.close()


def pair(*versions: int) -> list[Trajectory]:
    """One trajectory of each shard, of these versions."""
    return [trajectories.make(n, shard=n, number=3, version=version) for n, version in enumerate(versions)]


def test_the_algorithm_learns_from_all_shards(tmp_path: Path, record: Record) -> None:
    """Side by side, with the share of the run that is done and the lag of the oldest."""
    update = Update(tmp_path, record)
    metrics, _ = update(*pair(3, 1))
    (batch,) = update.algorithm.batches
    assert (batch.rewards.shape, batch.lag, batch.progress) == ((4, 4), 2, 3 * 16 / 160)
    assert (metrics["loss"], metrics["lag"]) == (0.5, 2)
    assert "dropped" not in metrics


def test_episodes_of_what_was_dropped_count_too(tmp_path: Path, record: Record) -> None:
    """They were played; under a free lag the line says how many trajectories they were in."""
    update = Update(tmp_path, record, **{"sampling.policy_lag": "free"})
    stale = trajectories.make(7, first=np.ones((5, 2)))
    metrics, ended = update(*pair(3, 3), dropped=(stale,))
    episodes = sum(len(trajectory.episodes()) for trajectory in (stale, *pair(3, 3)))
    assert (metrics["dropped"], metrics["episodes"], len(ended)) == (1, episodes, episodes)
    assert len(update.algorithm.batches[0].final_index) == episodes - len(stale.episodes())


def test_data_that_is_not_finite_is_refused_before_it_is_learned_from(tmp_path: Path, record: Record) -> None:
    """The environment is named as the run numbers it, and the trajectory is saved for a look."""
    update = Update(tmp_path, record)
    healthy, broken = pair(3, 3)
    rewards = broken.arrays["rewards"].copy()
    rewards[2, 1] = np.nan
    with pytest.raises(RunError, match="nan in rewards of environment 3, step 2") as error:
        update(healthy, evolve(broken, arrays=broken.arrays | {"rewards": rewards}))
    assert update.algorithm.batches == []
    saved = Path(str(error.value).rpartition(" is in ")[2])
    np.testing.assert_array_equal(load(saved)["shard 1"]["rewards"], rewards)


def test_metrics_that_are_not_finite_end_the_run(tmp_path: Path, record: Record) -> None:
    """With the number of the update that they are of, and the whole batch saved."""
    update = Update(tmp_path, record)
    update.algorithm.metrics = {"loss": float("inf")}
    with pytest.raises(RunError, match="update 4: loss is inf; the batch is in") as error:
        update(*pair(3, 3))
    saved = load(Path(str(error.value).rpartition(" is in ")[2]))
    assert sorted(saved) == ["shard 0", "shard 1"]
    assert saved["shard 0"]["version"] == 3


def test_metrics_must_be_numbers_by_name(tmp_path: Path, record: Record) -> None:
    """Else the algorithm is named."""
    update = Update(tmp_path, record)
    update.algorithm.metrics = None
    with pytest.raises(RunError, match=r"the algorithm's update\(\) gave None"):
        update(*pair(3, 3))


class Hearing:
    """A curriculum that remembers which episodes it hears of."""

    def update(self, episodes: Any) -> dict[str, float]:
        self.episodes = list(episodes)
        return {}


def failing(trajectory: Trajectory, resets: int = 0) -> Trajectory:
    """The same where the first of its episodes failed, and others in reset, where environments are made anew."""
    error = trajectory.arrays["episodes/error"].copy()
    error[:1] = 1
    told = Failure(2 * trajectory.shard, 4, "step", "OSError: gone", "Traceback ...")
    failures = encode_failures(Failures(len(error[:1]) + resets, (told,)))
    return evolve(trajectory, arrays=trajectory.arrays | {"episodes/error": error, "failures": failures})


@pytest.mark.parametrize("mode", ["stop", "restart"])
def test_failed_episodes_are_told_and_taught_to_nobody(tmp_path: Path, record: Record, mode: str) -> None:
    """An event has what was raised, the line has their number, and the curriculum does not hear of them."""
    update = Update(tmp_path, record, **{"runtime.on_environment_error": mode})
    curriculum: Any = Hearing()
    update.state.tasks = TaskSource(curriculum, 0, 0)
    failed = [failing(trajectory, resets=1) for trajectory in pair(3, 3)]
    healthy = pair(3, 3)
    metrics, ended = update(*(failed if mode == "restart" else healthy))
    errors = [episode for episode in ended if "error" in episode]
    assert curriculum.episodes == [episode for episode in ended if "error" not in episode]
    assert len(curriculum.episodes) > 0
    events = runs.events(tmp_path, "environment_failed")
    if mode == "stop":
        assert (events, errors) == ([], [])
        assert "failed_episodes" not in metrics
        return
    assert (metrics["failed_episodes"], len(errors)) == (4, 2)
    fields = {"environment": 0, "episode": 4, "call": "step", "reason": "OSError: gone", "traceback": "Traceback ..."}
    first, second = ({name: value for name, value in event.items() if name != "time"} for event in events)
    assert first == {"event": "environment_failed", **fields, "failures": 1}
    assert second == first | {"environment": 2, "failures": 3}

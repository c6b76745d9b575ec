import errno
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import runs
import tiny
import torch
import trajectories

from framework.errors import PluginError
from framework.pipeline.sections import Checkpoint
from framework.runtime.data.failures import Failures, encode_failures
from framework.runtime.data.policy_snapshot import pack
from framework.runtime.data.shard import first_state
from framework.runtime.data.tasks import decode_tasks, draw_tasks
from framework.runtime.disk import checkpoint
from framework.runtime.disk.checkpoint import CheckpointError, checkpoints, load, save
from framework.runtime.disk.run_directory import Record
from framework.runtime.learn import state as module
from framework.runtime.learn.curriculum import TaskSource
from framework.runtime.learn.state import Checkpoints, RunState, initial_state

LAG = 2


def new() -> RunState:
    """A run of the tiny algorithm and curriculum, before its first snapshot."""
    curriculum: Any = tiny.Curriculum(None, None)
    return RunState(tiny.Algorithm(None, None), TaskSource(curriculum, 3, 4), LAG, 8)


def advanced(state: RunState, updates: int) -> RunState:
    """The same after some updates, in which episodes end."""
    for number in range(state.update, state.update + updates):
        algorithm: Any = state.algorithm
        algorithm.updates += 1
        algorithm.policy.weight.data.add_(number + 0.5)
        ready = [trajectories.make(number, shard=shard, number=number) for shard in range(2)]
        ended = state.episodes.add(ready)
        state.tasks.update(ended)
        ready[0].arrays["failures"] = encode_failures(Failures(number, ()))
        state.environment_errors.add(ready, ended)
        state.update += 1
        state.take_snapshot()
        for shard, trajectory in enumerate(ready):
            state.shards[shard] = first_state(trajectory)
    return state


def plain(value: Any) -> Any:
    """A state as plain values, but for the time."""
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items() if key != "elapsed"}
    if isinstance(value, list | tuple):
        return [plain(child) for child in value]
    return value.tolist() if isinstance(value, torch.Tensor | np.ndarray) else value


# The state.


def test_environments_whose_episodes_are_not_recorded_are_named() -> None:
    """As they are numbered in the run."""
    state = new()
    for shard, first in enumerate(([[1, 1], [0, 0]], [[1, 1], [0, 1]])):
        state.shards[shard] = first_state(trajectories.make(shard=shard, first=first), 0)
    assert state.unrecorded == [0, 1, 2]


def test_everything_survives_a_checkpoint(tmp_path: Path) -> None:
    """All that the next update depends on is the same, whatever was there before; nothing is shared."""
    state = advanced(new(), 5)
    state.best, state.evaluated = 12.5, 4
    path = save(tmp_path, "update-1", state.state_dict())
    restored = advanced(new(), 2)
    restored.load_state_dict(load(path))
    assert plain(restored.state_dict()) == plain(state.state_dict())
    assert (restored.update, restored.best, restored.evaluated) == (5, 12.5, 4)
    assert restored.episodes.means() == state.episodes.means()
    assert restored.environment_errors.count == state.environment_errors.count == 0 + 1 + 2 + 3 + 4
    assert list(restored.snapshots) == list(state.snapshots) == [3, 4, 5]
    assert list(restored.shards) == [0, 1]
    for shard, of_shard in state.shards.items():
        assert restored.shards[shard].number == of_shard.number
        np.testing.assert_array_equal(restored.shards[shard].digest, of_shard.digest)
    for after in (advanced(restored, 3), advanced(state, 3)):
        assert after.update == 8
    assert plain(restored.state_dict()) == plain(state.state_dict())


def test_a_new_run_survives_a_checkpoint(tmp_path: Path) -> None:
    """Before any update, when nothing has been evaluated: the best return is that of no evaluation."""
    state = new()
    state.take_snapshot()
    restored = advanced(new(), 2)
    restored.load_state_dict(load(save(tmp_path, "update-1", state.state_dict())))
    assert plain(restored.state_dict()) == plain(state.state_dict())
    assert (restored.best, restored.evaluated, restored.shards) == (-math.inf, 0, {})


def test_checkpoints_that_do_not_tell_of_evaluations_are_taken() -> None:
    """They were saved after the evaluation of their update."""
    values = advanced(new(), 3).state_dict()
    del values["evaluated"]
    restored = new()
    restored.load_state_dict(values)
    assert restored.evaluated == 3


def test_checkpoints_that_do_not_tell_of_errors_are_taken() -> None:
    """They were saved where environments that raised ended the run."""
    values = advanced(new(), 3).state_dict()
    del values["environment_errors"]
    restored = new()
    restored.load_state_dict(values)
    assert restored.environment_errors.count == 0


def test_time_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interruptions are left out."""
    clock = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: clock)
    state, restored = new(), new()
    state.started = 90.0
    values = state.state_dict()
    clock = 5000.0
    restored.load_state_dict(values)
    assert clock - restored.started == 10.0


def test_snapshots_are_kept_as_long_as_they_may_be_collected_with() -> None:
    """Each as it was when it was taken, with the tasks that its version draws."""
    state = new()
    state.take_snapshot()
    snapshots = {}
    for number in range(1, 6):
        snapshots[number] = advanced(state, 1).snapshots[number]
    assert list(state.snapshots) == [3, 4, 5]
    weights = [snapshots[number]["weights"].view(np.float32).item() for number in snapshots]
    assert weights == [0.5, 2.0, 4.5, 8.0, 12.5]
    assert snapshots[5]["weights"].tobytes() == pack(state.algorithm.policy).tobytes()
    curriculum: Any = tiny.Curriculum(None, None)
    for version in range(6):
        tasks = decode_tasks(draw_tasks(curriculum, 4, 3, version))
    assert decode_tasks(snapshots[5]["tasks"]) == tasks == [20, 21, 22, 23]


@pytest.mark.parametrize(("length", "count"), [(4, 4), (8, 4), (9, 8), (32, 16)])
def test_a_run_begins_with_its_first_version(tmp_path: Path, length: int, count: int) -> None:
    """That of the algorithm's first weights, with a task for every eighth step of each environment."""
    pipeline = tiny.load(tmp_path, tiny.CURRICULUM, sampling__rollout_length=length, sampling__policy_lag=0)
    spaces = {"observation": tiny.Hashed.observation_space}
    state = initial_state(pipeline, spaces, tiny.Hashed.action_space, "cpu", tell=None)
    assert (state.update, state.kept_versions, list(state.snapshots)) == (0, 0, [0])
    assert len(decode_tasks(state.snapshots[0]["tasks"])) == count
    assert isinstance(state.algorithm, tiny.Algorithm)
    assert state.parameters == 1


# Checkpoints.


class FakeLifecycle:
    """Hears which checkpoints are saved."""

    def __init__(self) -> None:
        self.saved: list[str] = []

    def call(self, hook: str, *, directory: Path, checkpoint: Path) -> None:
        assert hook == "checkpoint_saved"
        assert checkpoint.parent == directory / "checkpoints"
        assert load(checkpoint)["update"] == int(checkpoint.name.partition("-")[2])
        self.saved.append(checkpoint.name)


def pipeline(**settings: Any) -> Any:
    """What is read of a pipeline; the algorithm is blamed for what no other component has."""
    algorithm = SimpleNamespace(kind="algorithm", use="tiny", component=SimpleNamespace(origin="tiny.py"))
    return SimpleNamespace(
        checkpoint=Checkpoint(**settings), bonuses=(), curriculum=None, replay=None, algorithm=algorithm
    )


class Run:
    """A run directory, a state, and what saves it there."""

    def __init__(self, directory: Path, **settings: Any):
        self.record = Record(directory)
        self.lifecycle: Any = FakeLifecycle()
        self.state = new()
        self.state.take_snapshot()
        self.checkpoints = Checkpoints(self.record, self.lifecycle, pipeline(**settings), self.state)

    def names(self, prefix: str = "") -> list[str]:
        return [path.name for path in checkpoints(self.record.checkpoints, prefix)]

    def events(self) -> list[dict[str, Any]]:
        lines = runs.lines(self.record.directory, "events.jsonl")
        return [{name: value for name, value in line.items() if name != "time"} for line in lines]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path, keep=2)
    yield run
    run.record.close()


def resume(run: Run) -> Run:
    """The same run directory, taken up by another process."""
    run.record.close()
    run.record = Record(run.record.directory)
    run.lifecycle, run.state = FakeLifecycle(), new()
    run.checkpoints = Checkpoints(run.record, run.lifecycle, pipeline(keep=2), run.state)
    return run


def damage(run: Run, name: str) -> None:
    (run.record.checkpoints / name / "state.json").write_bytes(b"{}")


def test_a_checkpoint_is_due_when_the_last_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many seconds after the start, and after each that was saved or could not be."""
    clock = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: clock)
    run = Run(tmp_path, every_seconds=30.0)
    dues = []
    for second in (129.9, 130.0, 150.0, 159.9, 160.0):
        clock = second
        dues.append(run.checkpoints.due)
        if second == 130.0:
            advanced(run.state, 1)
            run.checkpoints.save()
    assert dues == [False, True, False, False, True]
    monkeypatch.setattr(checkpoint, "_write", full)
    advanced(run.state, 1)
    assert not run.checkpoints.save()
    assert not run.checkpoints.due
    run.record.close()


def test_with_zero_seconds_one_is_always_due(tmp_path: Path) -> None:
    """After every update."""
    run = Run(tmp_path, every_seconds=0.0)
    assert run.checkpoints.due
    assert run.checkpoints.save()
    assert run.checkpoints.due
    run.record.close()


def test_an_update_is_saved_once(run: Run) -> None:
    """Again where its checkpoint was removed, or where it was evaluated since; hooks hear of each that is saved."""
    advanced(run.state, 1)
    assert run.checkpoints.save()
    assert run.checkpoints.save()
    assert run.lifecycle.saved == ["update-00000001"]
    shutil.rmtree(run.record.checkpoints)
    assert run.checkpoints.save()
    run.state.evaluated = 1
    assert run.checkpoints.save()
    assert run.lifecycle.saved == ["update-00000001"] * 3
    assert load(run.record.checkpoints / "update-00000001", "evaluated") == 1


def test_the_newest_are_kept_and_one_best(run: Run) -> None:
    """As many as the pipeline says, beside the first that had the highest score."""
    for number in range(1, 5):
        advanced(run.state, 1)
        assert run.checkpoints.save()
        run.checkpoints.save_if_best({1: -7.0, 2: -8.0, 3: 2.0, 4: 2.0}[number])
    assert run.names("update-") == ["update-00000003", "update-00000004"]
    assert run.names("best-") == ["best-00000003"]
    assert plain(load(run.record.checkpoints / "update-00000004")) == plain(run.state.state_dict())


def full(*args: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event tells what could not be saved, the one before is whole, and the next attempt is a real one."""
    advanced(run.state, 1)
    assert run.checkpoints.save()
    advanced(run.state, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", full)
        assert not run.checkpoints.save()
        run.checkpoints.save_if_best(1.0)
    reason = "[Errno 28] No space left on device"
    assert run.events() == [
        {"event": "checkpoint_failed", "checkpoint": name, "reason": reason}
        for name in ("update-00000002", "best-00000002")
    ]
    assert run.names() == ["update-00000001"] == run.lifecycle.saved
    assert load(run.record.checkpoints / "update-00000001", "update") == 1
    assert run.checkpoints.save()
    assert run.names() == ["update-00000001", "update-00000002"]


def test_a_state_that_cannot_be_saved_ends_the_run(run: Run) -> None:
    """It is a mistake of a component, and would be one at every attempt."""
    algorithm: Any = run.state.algorithm
    algorithm.updates = object()
    with pytest.raises(PluginError, match=r"\(tiny\.py\) cannot be saved: .*/algorithm/updates is of type object"):
        run.checkpoints.save()


# Resuming.


def recorded(run: Run, updates: int) -> None:
    """Update and record, saving a checkpoint each time."""
    for _ in range(updates):
        advanced(run.state, 1)
        run.record.metrics({"update": run.state.update})
        run.record.episodes([{"update": run.state.update}])
        assert run.checkpoints.save()


def updates(run: Run, file: str = "metrics.jsonl") -> list[int]:
    return [line["update"] for line in runs.lines(run.record.directory, file)]


def test_a_run_goes_on_from_its_newest_checkpoint(run: Run) -> None:
    """The record ends there, and an event says so; nothing is saved again before the next update."""
    recorded(run, 3)
    for late in (4, 5):
        run.record.metrics({"update": late})
        run.record.episodes([{"update": late}])
    expected = plain(run.state.state_dict())
    resumed = resume(run)
    resumed.checkpoints.resume()
    assert plain(resumed.state.state_dict()) == expected
    assert updates(resumed) == updates(resumed, "episodes.jsonl") == [1, 2, 3]
    assert resumed.events() == [{"event": "resumed", "checkpoint": "update-00000003", "update": 3}]
    assert resumed.checkpoints.save()
    assert resumed.lifecycle.saved == []


def test_a_run_that_ended_before_its_first_checkpoint_starts_anew(run: Run) -> None:
    """All that it recorded will happen again."""
    run.record.metrics({"update": 1})
    expected = plain(run.state.state_dict())
    resumed = resume(run)
    resumed.state.take_snapshot()
    resumed.checkpoints.resume()
    assert updates(resumed) == []
    assert resumed.events() == [{"event": "resumed", "checkpoint": None, "update": 0}]
    assert plain(resumed.state.state_dict()) == expected


def test_damaged_checkpoints_are_passed_over_and_replaced(run: Run) -> None:
    """They are named, and when their update is done again, its checkpoint is a whole one."""
    recorded(run, 3)
    damage(run, "update-00000003")
    resumed = resume(run)
    resumed.checkpoints.resume()
    skipped, went_on = resumed.events()
    assert skipped["event"] == "checkpoint_skipped"
    assert "update-00000003: state.json is damaged" in skipped["reason"]
    assert went_on == {"event": "resumed", "checkpoint": "update-00000002", "update": 2}
    assert updates(resumed) == [1, 2]
    advanced(resumed.state, 1)
    assert resumed.checkpoints.save()
    assert resumed.lifecycle.saved == ["update-00000003"]
    assert load(resumed.record.checkpoints / "update-00000003", "update") == 3


def test_without_a_whole_checkpoint_nothing_is_forgotten(run: Run) -> None:
    """It is an error, and the record is as it was."""
    recorded(run, 2)
    for name in run.names():
        damage(run, name)
    before = (run.record.directory / "metrics.jsonl").read_bytes()
    resumed = resume(run)
    with pytest.raises(CheckpointError, match="no whole checkpoint to go on from"):
        resumed.checkpoints.resume()
    assert (run.record.directory / "metrics.jsonl").read_bytes() == before
    assert resumed.events() == []


def test_states_of_another_run_do_not_fit(run: Run) -> None:
    """They are damaged, too: the run goes on from one that has all it needs."""
    recorded(run, 1)
    values = advanced(run.state, 1).state_dict()
    del values["algorithm"]
    save(run.record.checkpoints, "update-00000002", values)
    resumed = resume(run)
    resumed.checkpoints.resume()
    assert [json.dumps(event) for event in resumed.events() if "does not fit this run" in str(event)]
    assert resumed.state.update == 1

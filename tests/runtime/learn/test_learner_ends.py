"""Runs that are interrupted, go on, or cannot go on."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import tiny
from tiny_runs import STEPS, Run

from framework.errors import RunError
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.disk import checkpoint
from framework.runtime.disk.checkpoint import load
from framework.runtime.learn import learner as module
from framework.runtime.learn.evaluation import Evaluator
from framework.runtime.learn.learner import Learner
from framework.runtime.rollout.worker import Worker


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tiny.Hashed]:
    """All environments that are made in a test."""
    environments: list[tiny.Hashed] = []
    monkeypatch.setattr(tiny.Environment, "make", lambda self: environments.append(tiny.Hashed()) or environments[-1])
    return environments


#: Saves a checkpoint after every update.
SAVING: dict[str, Any] = {"checkpoint__every_seconds": 0.0}


# Interrupts.


@pytest.mark.parametrize("text", ["", tiny.CURRICULUM], ids=["", "curriculum"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path, text: str) -> None:
    """The request is heard after the update; lines, episodes and weights are those of an undisturbed run."""
    undisturbed, stopped = Run(tmp_path / "a", text), Run(tmp_path / "b", text)
    undisturbed.end()
    with pytest.raises(KeyboardInterrupt):
        stopped.end(lambda update: update.number == 2 and stopped.interrupt.request())
    assert stopped.names() == ["update-00000002"]
    resumed = Run(tmp_path / "b", text, stopped.directory)
    assert [update.number for update in resumed.end()] == [3, 4]
    runs.assert_equal_runs(undisturbed.directory, resumed.directory)


def test_an_interrupt_while_an_environment_is_played_is_heard_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[tiny.Hashed]
) -> None:
    """What was collected of the next update is lost, and collected again when the run goes on."""
    undisturbed, stopped = Run(tmp_path / "a"), Run(tmp_path / "b")
    undisturbed.end()
    collect = Worker.collect

    def interrupted(self: Worker, shard: int, number: int, version: int) -> Trajectory:
        if (shard, number) == (1, 2):
            stopped.interrupt.request()
        return collect(self, shard, number, version)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "collect", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stopped.end()
    assert stopped.names() == ["update-00000002"]
    resumed = Run(tmp_path / "b", "", stopped.directory)
    resumed.end()
    runs.assert_equal_runs(undisturbed.directory, resumed.directory)
    assert all(environment.closed for environment in made)


def interrupt_evaluation(run: Run, number: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is interrupted in the evaluation that follows an update, or with which it goes on."""
    evaluate = Evaluator.evaluate
    before = [f"update_finished {number}"] if number else []

    def interrupted(self: Any, policy: Any, film: Any) -> Any:
        if run.lifecycle.heard[-1:] == before:
            run.interrupt.request()
        return evaluate(self, policy, film)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.end()


def test_an_evaluation_that_was_interrupted_is_played_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one too, and once: the record is that of an undisturbed run, however often it is resumed."""
    settings = {"evaluation__episodes": 1, "evaluation__every_steps": 2 * STEPS}
    undisturbed, stopped = Run(tmp_path / "a", **settings), Run(tmp_path / "b", **settings)
    undisturbed.end()
    interrupt_evaluation(stopped, 2, monkeypatch)
    assert stopped.names() == ["update-00000002"]
    assert len(runs.metrics(stopped.directory)) == 2
    second_run = Run(tmp_path / "b", "", stopped.directory, **settings)
    interrupt_evaluation(second_run, 4, monkeypatch)
    assert len(runs.metrics(stopped.directory)) == 5
    for _ in range(2):
        resumed = Run(tmp_path / "b", "", stopped.directory, **settings)
        assert resumed.end() == []
        runs.assert_equal_runs(undisturbed.directory, resumed.directory)
    assert resumed.names("best-") == undisturbed.names("best-")


def test_an_evaluation_that_was_played_late_is_not_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the run is killed before its next checkpoint."""
    settings = {"evaluation__episodes": 1, "evaluation__every_steps": 2 * STEPS}
    undisturbed, stopped = Run(tmp_path / "a", **settings), Run(tmp_path / "b", **settings)
    undisturbed.end()
    interrupt_evaluation(stopped, 2, monkeypatch)
    killed = tmp_path / "killed"
    second_run = Run(tmp_path / "b", "", stopped.directory, **settings)
    second_run.end(lambda update: update.number == 3 and shutil.copytree(second_run.directory, killed))
    resumed = Run(tmp_path / "b", "", killed, **settings)
    assert [update.number for update in resumed.end()] == [3, 4]
    runs.assert_equal_runs(undisturbed.directory, killed)


def test_an_evaluation_that_is_interrupted_again_is_still_to_be_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoint says otherwise."""
    run = Run(tmp_path, evaluation__episodes=1)
    interrupt_evaluation(run, 4, monkeypatch)
    for _ in range(2):
        interrupt_evaluation(Run(tmp_path, "", run.directory, evaluation__episodes=1), None, monkeypatch)
    last = Run(tmp_path, "", run.directory, evaluation__episodes=1)
    last.end()
    assert [line["update"] for line in runs.metrics(run.directory)] == [1, 2, 3, 4, 4]


def test_leaving_the_loop_saves(tmp_path: Path) -> None:
    """Whoever has enough of a run closes it, and can go on with it."""
    run = Run(tmp_path)

    def leave(update: Any) -> None:
        if update.number == 3:
            raise LookupError

    with pytest.raises(LookupError):
        run.end(leave)
    assert run.names() == ["update-00000003"]


def test_a_stuck_run_can_be_saved_from_another_thread(tmp_path: Path) -> None:
    """`Interrupt.rescue` saves what the last update left."""
    run = Run(tmp_path)
    saved: list[list[str]] = []

    def rescue(update: Any) -> None:
        if update.number == 2:
            run.interrupt.rescue()
            saved.append(run.names())

    run.end(rescue)
    assert saved == [["update-00000002"]]


# Going on.


def test_a_run_that_is_done_stays_as_it_is(tmp_path: Path) -> None:
    """Resumed, it has no update to do, and nothing to save or to evaluate."""
    run = Run(tmp_path, evaluation__episodes=1)
    run.end()
    before = (run.directory / "metrics.jsonl").read_bytes()
    resumed = Run(tmp_path, "", run.directory, evaluation__episodes=1)
    assert resumed.end() == []
    assert resumed.lifecycle.heard == []
    assert (run.directory / "metrics.jsonl").read_bytes() == before


def test_a_run_whose_last_checkpoint_is_damaged_ends_with_a_whole_one(tmp_path: Path) -> None:
    """Its last update is done again, and saved again."""
    run = Run(tmp_path, **SAVING)
    run.end()
    before = runs.final_weights(run.directory)
    (run.directory / "checkpoints" / "update-00000004" / "state.json").write_bytes(b"{}")
    resumed = Run(tmp_path, "", run.directory, **SAVING)
    assert [update.number for update in resumed.end()] == [4]
    assert runs.final_weights(run.directory) == before
    assert [line["update"] for line in runs.metrics(run.directory)] == [1, 2, 3, 4]


def test_environments_that_arrive_elsewhere_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run whose environments are not deterministic names them, and goes on."""
    run = Run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.end(lambda update: update.number == 2 and run.interrupt.request())
    monkeypatch.setattr(tiny, "shown", lambda seed, task, actions: np.full(4, 0.25, np.float32))
    resumed = Run(tmp_path, "", run.directory)
    assert [update.number for update in resumed.end()] == [3, 4]
    events = runs.events(run.directory, "not_replayable")
    assert [(event["shard"], event["environments"]) for event in events] == [(0, [0, 1]), (1, [2, 3])]


@pytest.mark.parametrize(
    ("limit", "told", "lost"), [(100, [], []), (5, [[0, 1, 2, 3]], [0, 1, 2, 3]), (0, [], [0, 1, 2, 3])]
)
def test_episodes_that_are_too_long_start_anew(
    tmp_path: Path, limit: int, told: list[list[int]], lost: list[int]
) -> None:
    """A resumed run plays episodes of ``max_replay_steps`` again, and says once that longer ones will be lost.

    Within the limit it ends as one that was never interrupted; where nothing is recorded, nothing needs to be said.
    """
    options = {"environment__longest": 2**40, "sampling__max_replay_steps": limit}
    whole, run = Run(tmp_path / "whole", **options), Run(tmp_path / "cut", **options)
    whole.end()
    with pytest.raises(KeyboardInterrupt):
        run.end(lambda update: update.number == 2 and run.interrupt.request())
    announced = runs.events(run.directory, "episodes_too_long")
    assert [event["environments"] for event in announced] == told
    assert [update.number for update in Run(tmp_path / "cut", "", run.directory, **options).end()] == [3, 4]
    events = runs.events(run.directory, "not_replayable")
    assert sorted(environment for event in events for environment in event["environments"]) == lost
    assert (runs.final_weights(run.directory) == runs.final_weights(whole.directory)) == (not lost)


# Bad numbers.


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], Trajectory]:
    """All trajectories that workers collect in a test, by shard and number."""
    collected: dict[tuple[int, int], Trajectory] = {}
    collect = Worker.collect

    def remembering(self: Worker, shard: int, number: int, version: int) -> Trajectory:
        collected[shard, number] = collect(self, shard, number, version)
        return collected[shard, number]

    monkeypatch.setattr(Worker, "collect", remembering)
    return collected


def refused(run: Run, message: str) -> dict[str, Any]:
    """The run ends with this message, which names where the data is; returns what is there."""
    with pytest.raises(RunError, match=message) as caught:
        run.end()
    path = Path(str(caught.value).rpartition(" is in ")[2])
    assert path.parent == run.directory / "checkpoints"
    state: dict[str, Any] = load(path)
    return state


@pytest.mark.parametrize("saving", [{}, SAVING], ids=["not saved before", "saved before"])
def test_metrics_that_are_not_finite_stop_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    collected: dict[tuple[int, int], Trajectory],
    saving: dict[str, Any],
) -> None:
    """They are named, and the batch that they came of is kept; no checkpoint is saved in the midst of an update."""
    update = tiny.Algorithm.update

    def diverging(self: tiny.Algorithm, batch: Any) -> dict[str, float]:
        metrics = update(self, batch)
        return metrics | {"loss": float("nan"), "kl": float("inf")} if self.updates == 3 else metrics

    monkeypatch.setattr(tiny.Algorithm, "update", diverging)
    run = Run(tmp_path, **saving)
    saved = refused(run, "^update 3: loss is nan, kl is inf; the batch is in ")
    assert run.names() == (["update-00000001", "update-00000002"] if saving else [])
    assert len(runs.metrics(run.directory)) == 2
    assert saved.keys() == {"shard 0", "shard 1"}
    for shard in (0, 1):
        arrays = saved[f"shard {shard}"]
        assert arrays.pop("version") == 1
        assert {name: array.tolist() for name, array in arrays.items()} == {
            name: array.tolist() for name, array in collected[shard, 2].arrays.items()
        }


def test_values_that_are_not_finite_are_not_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is named as the run numbers it, and its trajectory alone is kept."""
    collect = Worker.collect

    def spoilt(self: Worker, shard: int, number: int, version: int) -> Trajectory:
        trajectory = collect(self, shard, number, version)
        if (shard, number) == (1, 1):
            trajectory.arrays["rewards"][2, 1] = np.nan
        return trajectory

    monkeypatch.setattr(Worker, "collect", spoilt)
    run = Run(tmp_path, **SAVING)
    saved = refused(run, r"nan in rewards of environment 3, step 2 of trajectory 1 of shard 1 .*the trajectory is in")
    assert saved.keys() == {"shard 1"}
    assert run.names() == ["update-00000001"]


def test_metrics_are_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else an algorithm gives is shown."""
    monkeypatch.setattr(tiny.Algorithm, "update", lambda self, batch: {"loss": "low"})
    with pytest.raises(RunError, match=r"the algorithm's update\(\) gave 'loss': 'low'"):
        Run(tmp_path).end()


# Full disks, and environments that cannot be closed.


def full(*args: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_run_without_its_last_checkpoint_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that could not be saved before are told, and it went on."""
    monkeypatch.setattr(checkpoint, "_write", full)
    run = Run(tmp_path, **SAVING)
    with pytest.raises(RunError, match=f"^{re.escape(str(run.directory))}: the last checkpoint could not be saved"):
        run.end()
    assert len(runs.metrics(run.directory)) == 4
    failures = [event["checkpoint"] for event in runs.events(run.directory, "checkpoint_failed")]
    assert failures == [f"update-{number:08d}" for number in (1, 2, 3, 4, 4)]


@pytest.mark.parametrize("error", [RunError("environment 1 failed"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_says_more_than_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """It is raised as it is, while an interrupted run that cannot be saved is an error."""
    monkeypatch.setattr(checkpoint, "_write", full)

    def failing(self: Learner) -> None:
        raise error

    monkeypatch.setattr(Learner, "_advance", failing)
    message = "environment 1 failed" if isinstance(error, RunError) else "the last checkpoint could not be saved"
    with pytest.raises(RunError, match=message):
        Run(tmp_path).end()


def test_environments_are_closed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[tiny.Hashed]
) -> None:
    """All of them; what some raise is recorded, and harms nothing."""
    close = tiny.Hashed.close

    def failing(self: tiny.Hashed) -> None:
        close(self)
        raise OSError("gone")

    monkeypatch.setattr(tiny.Hashed, "close", failing)
    run = Run(tmp_path)
    assert len(run.end()) == 4
    assert len(made) == 4
    assert all(environment.closed for environment in made)
    reasons = [event["reason"] for event in runs.events(run.directory, "close_failed")]
    assert reasons == [f"environment {index} failed in close: OSError: gone" for index in (0, 1)] * 2


# Before the first update.


def broken_algorithm(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(tiny.Algorithm, "__init__", lambda self, config, context: 1 / 0)


def broken_source(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(module, "open_source", lambda *args: 1 / 0)


def broken_checkpoints(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    (run.directory / "checkpoints" / "update-00000001").mkdir(parents=True)


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        (broken_algorithm, "ZeroDivisionError"),
        (broken_source, "division by zero"),
        (broken_checkpoints, "no whole checkpoint to go on from"),
    ],
)
def test_a_run_that_cannot_begin_closes_its_environments(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[tiny.Hashed],
    breaking: Callable[[pytest.MonkeyPatch, Run], None],
    message: str,
) -> None:
    """Those that were made to know their spaces."""
    run = Run(tmp_path, "", tiny.recorded(tmp_path))
    breaking(monkeypatch, run)
    with pytest.raises(Exception, match=message):
        run.end()
    assert [environment.closed for environment in made] == [True, True]

"""Whole runs of environments that raise and are restarted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import tiny
from crashing import RESTART
from misbehaving import write_pipeline
from tiny_runs import Run

from framework.errors import EnvironmentFailed, PipelineError

#: With a seed that does not have them raise in two resets in a row.
CRASHING: dict[str, Any] = {"environment__use": "crashing:Environment", "run__seed": 0, **RESTART}
CRASHING |= {"run__total_steps": 256}
#: By what the environment shows and what is done: about one episode in four.
RAISES = "if observation[0] + action > 2.9: raise ValueError('the simulator is gone')"


def failed(directory: Path) -> list[dict[str, Any]]:
    """The episodes that an error ended."""
    return [episode for episode in runs.lines(directory, "episodes.jsonl") if "error" in episode]


def told(directory: Path) -> list[dict[str, Any]]:
    """The events that tell of one, but for their time and for the folder that is in tracebacks."""
    events = runs.events(directory, "environment_failed")
    return [{name: value for name, value in event.items() if name not in ("time", "traceback")} for event in events]


@pytest.mark.parametrize("text", ["", tiny.CURRICULUM], ids=["", "curriculum"])
def test_a_run_of_them_goes_on_exactly(tmp_path: Path, text: str) -> None:
    """Interrupted after each update and resumed, it is the same run, bit for bit; so is what it counts."""
    undisturbed = Run(tmp_path / "a", text, **CRASHING)
    updates = undisturbed.end()
    assert len(failed(undisturbed.directory)) > 10
    directory: Path | None = None
    for _ in updates:
        run = Run(tmp_path / "b", text, directory, **CRASHING)
        directory = run.directory
        with pytest.raises(KeyboardInterrupt):
            run.end(lambda _, interrupt=run.interrupt: interrupt.request())
    assert directory is not None
    runs.assert_equal_runs(undisturbed.directory, directory)
    assert not runs.events(directory, "not_replayable")


def test_failed_episodes_are_on_record(tmp_path: Path) -> None:
    """As lines, as a number, and some of them as events; those that failed in reset have no line."""
    run = Run(tmp_path, **CRASHING)
    last = run.end()[-1].metrics
    events = runs.events(run.directory, "environment_failed")
    assert [event["failures"] for event in events][:3] == [1, 2, 4]
    assert {event["reason"][:18] for event in events} == {"OSError: gone afte"}
    assert all("crashing.py" in event["traceback"] for event in events)
    skipped = last["failed_episodes"] - len(failed(run.directory))
    assert skipped > 0
    numbers: dict[int, list[int]] = {}
    for episode in runs.lines(run.directory, "episodes.jsonl"):
        numbers.setdefault(episode["environment"], []).append(episode["number"])
    gaps = sum(np.diff([-1, *of_environment]).sum() - len(of_environment) for of_environment in numbers.values())
    assert 0 < gaps <= skipped  # the last episodes have not ended


def test_a_run_that_failed_too_often_can_be_resumed(tmp_path: Path) -> None:
    """It is saved, with all that it learned; with a higher share, or something mended, it goes on to its end."""
    strict = {**CRASHING, "runtime__environment_error_share": 0.05}
    undisturbed, stopped = Run(tmp_path / "a", **CRASHING), Run(tmp_path / "b", **strict)
    undisturbed.end()
    with pytest.raises(EnvironmentFailed, match=r"environment_error_share = 0\.05 allows 10 in 200"):
        stopped.end()
    assert stopped.names()
    resumed = Run(tmp_path / "b", "", stopped.directory, **CRASHING)
    resumed.end()
    runs.assert_equal_runs(undisturbed.directory, resumed.directory)


def test_by_default_the_first_one_ends_the_run(tmp_path: Path) -> None:
    """With the exception as the cause; resumed with restarts it goes on."""
    stop = {**CRASHING, "runtime__on_environment_error": "stop"}
    stopped = Run(tmp_path, "", **stop)
    with pytest.raises(EnvironmentFailed, match=r"failed in (step|reset): OSError: gone") as caught:
        stopped.end()
    assert isinstance(caught.value.__cause__, OSError)
    assert not runs.events(stopped.directory, "environment_failed")
    resumed = Run(tmp_path, "", stopped.directory, **CRASHING)
    assert resumed.end()[-1].steps == 256


def test_a_run_that_is_resumed_to_stop_is_not_judged_by_what_it_forgave(tmp_path: Path) -> None:
    """It ends at the next exception, and not before."""
    interrupted = Run(tmp_path, **CRASHING)
    with pytest.raises(KeyboardInterrupt):
        interrupted.end(lambda update: update.number == 8 and interrupted.interrupt.request())
    assert len(failed(interrupted.directory)) > 10
    stop = {**CRASHING, "runtime__on_environment_error": "stop", "runtime__environment_error_share": 0.05}
    healthy = {**stop, "environment__use": "tiny:Environment"}
    resumed = Run(tmp_path, "", interrupted.directory, **healthy)
    assert resumed.end()[-1].steps == 256


def test_evaluations_forgive_nothing(tmp_path: Path) -> None:
    """A score of what is left of the episodes would be another score."""
    run = Run(tmp_path, evaluation__episodes=20, **CRASHING)
    with pytest.raises(EnvironmentFailed, match=r"failed in (step|reset): OSError: gone"):
        run.end()
    assert len(runs.metrics(run.directory)) == 16


def test_vector_versions_are_refused(tmp_path: Path) -> None:
    """A run says which option, and what to do, before it begins."""
    native = {"environment.native": True, "runtime.on_environment_error": "restart", "runtime.samplers": 0}
    overrides = {name.replace(".", "__"): value for name, value in native.items()}
    with pytest.raises(PipelineError, match=re.escape("runtime.on_environment_error") + ".*set native = false"):
        runs.run(runs.write(tmp_path), tmp_path, **overrides)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run without samplers."""
    folder = tmp_path_factory.mktemp("reference")
    overrides = {"evaluation__episodes": 0, "runtime__samplers": 0, **RESTART}
    return runs.run(write_pipeline(folder, RAISES), folder, **overrides)


@pytest.mark.slow  # CI runs it
@pytest.mark.parametrize("samplers", [1, 2])
def test_number_of_samplers_changes_nothing(reference: Path, tmp_path: Path, samplers: int) -> None:
    """Runs with 0, 1 and 2 samplers are bit-equal, and tell the same failures."""
    overrides = {"evaluation__episodes": 0, "runtime__samplers": samplers, **RESTART}
    directory = runs.run(write_pipeline(tmp_path, RAISES), tmp_path, **overrides)
    runs.assert_equal_runs(reference, directory)
    assert len(failed(directory)) > 10
    assert told(directory) == told(reference)


@pytest.mark.slow  # CI runs it
def test_killed_run_resumes_exactly(reference: Path, tmp_path: Path) -> None:
    """Killed with -9 twice and resumed, with two samplers, it ends bit-equal to one that was never disturbed."""
    restart = ("runtime.on_environment_error='restart'", "runtime.environment_error_share=1.0")
    overrides = ("evaluation.episodes=0", "runtime.samplers=2", *restart)
    directory = runs.kill_and_resume(write_pipeline(tmp_path, RAISES), tmp_path, [4, 9], overrides)
    runs.assert_equal_runs(reference, directory)
    assert not runs.events(directory, "not_replayable")

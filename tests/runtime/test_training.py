"""Runs from Python: iterated over, left early, and found again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import runs
import tiny

import framework
from framework.errors import RunError
from framework.runtime.session import Training
from framework.studies.recorded_run import RecordedRun


def start(folder: Path, **overrides: object) -> Training:
    pipeline = tiny.load(folder, "", **overrides)
    return framework.train(pipeline, root=folder / "runs")


def test_training_says_where_its_run_directory_is(tmp_path: Path) -> None:
    """Before it has begun, while it lasts, and after its end; there the run can be read."""
    training = start(tmp_path)
    directory = training.directory
    assert (directory / "manifest.json").is_file()
    assert next(training).number == 1
    count = 1 + sum(1 for _ in training)
    assert training.directory == directory
    [run] = framework.runs(tmp_path / "runs")
    assert isinstance(run, framework.RecordedRun)
    assert (run.directory.resolve(), run.status, len(run.metrics) >= count) == (directory.resolve(), "done", True)
    assert next(training, None) is None


def test_leaving_early_saves_the_run(tmp_path: Path) -> None:
    """By a break, where nobody holds it; by close, as `contextlib.closing` does."""
    for _ in start(tmp_path / "a"):
        break
    with closing(start(tmp_path / "b")) as training:
        next(training)
    assert next(training, None) is None
    training.close()
    for folder in ("a", "b"):
        [run] = framework.runs(tmp_path / folder / "runs")
        assert (run.status, run.steps) == ("interrupted", run.metrics[0]["steps"])
        assert list((run.directory / "checkpoints").glob("update-*"))


def test_run_that_is_closed_before_its_first_update_lets_go(tmp_path: Path) -> None:
    """Of its directory, in which somebody else may resume it."""
    training = start(tmp_path)
    training.close()
    training.close()
    assert list(training) == []
    assert RecordedRun(training.directory).status == "interrupted"
    resumed = framework.train(framework.load_run(training.directory), resume=training.directory)
    assert len(list(resumed)) > 1


def test_processes_of_torchrun_but_the_first_have_no_run_directory() -> None:
    """They have no updates either."""
    training = Training(None)
    assert list(training) == []
    training.close()
    with pytest.raises(RunError, match="is that of the first process"):
        _ = training.directory


def test_the_lock_file_stays_and_is_empty(tmp_path: Path) -> None:
    """As the page on run directories says; the lock itself ends with the run."""
    training = start(tmp_path)
    next(training)
    assert RecordedRun(training.directory).status == "running"
    training.close()
    assert (training.directory / "lock").read_bytes() == b""
    assert RecordedRun(training.directory).status == "interrupted"
    page = Path(__file__).parents[2] / "docs" / "how-to" / "read-a-run-directory.md"
    assert "| `lock` | locked (`flock`) while a process runs this run; the empty file stays |" in page.read_text()


def test_pipelines_are_printed_as_files(tmp_path: Path) -> None:
    """That can be loaded; the representation is short."""
    pipeline = framework.load(runs.write(tmp_path))
    (tmp_path / "printed.toml").write_text(str(pipeline))
    assert framework.load(tmp_path / "printed.toml").to_plain() == pipeline.to_plain()
    assert str(pipeline).splitlines()[:4] == ["[run]", 'name = "run"', "seed = 3", "total_steps = 2048"]
    assert repr(pipeline) == "<Pipeline run: gymnasium, mlp, ppo>"

import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from tracked import expected, killed_and_resumed, left_running, logged_run, without_times
from wandb_files import configuration, history, offline_runs, records

from framework.testing import conformance
from framework.toolkit.tracking import Line, TrackedRun
from framework_wandb.config import WandbConfig
from framework_wandb.run import WandbRun

pytest.importorskip("wandb")

test_conformance = pytest.mark.slow(conformance("callback", "wandb", {"mode": "offline", "checkpoints": True}))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, in which nothing is to be."""
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def exit_codes(files: list[Path]) -> list[int]:
    return [record.exit.exit_code for file in files for record in records(file) if record.HasField("exit")]


def values(files: list[Path]) -> list[tuple[int, str, Any]]:
    rows = [row for file in files for row in history(file)]
    return sorted((step, name, value) for step, row in rows for name, value in row.items())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_is_logged(home: Path) -> None:
    """Metrics, evaluations and videos by steps, the pipeline as its config; resumed, it is the same run of wandb."""
    options = {"mode": "offline", "checkpoints": True, "tags": ["one", "two"], "project": "pole"}
    with logged_run("wandb", options) as run:
        first, second = files = offline_runs(run.directory)
        assert first.name == second.name
        assert [step for file in files for step, _ in history(file)] == [100, 200, 300]
        [(step, row)] = history(second)
        video = row.pop("evaluation/video")
        assert (step, row) == (
            300,
            {
                "update": 3,
                "return": 3.0,
                "time/seconds": 1.5,
                "evaluation/return": 3.5,
                "evaluation/episodes": 2,
            },
        )
        assert video["_type"] == "video-file"
        copy = second.parent / "files" / video["path"]
        assert copy.read_bytes() == (run.directory / "videos" / "update-00000003.mp4").read_bytes()
        assert configuration(first)["environment"] == {"use": "gymnasium"}
        [run_record] = [record.run for record in records(first) if record.HasField("run")]
        assert (run_record.display_name, run_record.project) == ("checked", "pole")
        assert list(run_record.tags) == ["one", "two"]
        assert exit_codes(files) == [130, 130]
        artifacts = [file for file in (run.directory / "wandb" / "data").rglob("*") if file.is_file()]
        assert {file.read_bytes() for file in artifacts} == {b"weights"}
        assert left_running(home) == []
    assert list(home.iterdir()) == []


def test_what_wandb_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run when it is resumed, steps that never decrease, and an exit code that says how it ended."""
    monkeypatch.setitem(sys.modules, "wandb", wandb := MagicMock())
    for name in ("CACHE", "CONFIG", "DATA"):  # which are set for all of a process
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path))
    open_run = wandb.init.return_value
    open_run.id, open_run.step = "abc", 300
    tracked = TrackedRun(tmp_path, tmp_path, "checked", {"run": {"name": "pole"}}, "abc", True)
    run = WandbRun(WandbConfig(entity="team"), tracked)
    asked = wandb.init.call_args.kwargs
    assert (asked["id"], asked["resume"], asked["mode"]) == ("abc", "allow", "online")
    assert (asked["project"], asked["entity"], asked["name"], asked["dir"]) == (
        "pole",
        "team",
        "checked",
        str(tmp_path),
    )
    open_run.config.update.assert_called_once_with({"run": {"name": "pole"}}, allow_val_change=True)
    run.log([Line(400, {"return": 1.0})])
    open_run.log.assert_called_once_with({"return": 1.0}, step=400)
    run.log_video(tmp_path / "late.mp4", 200)
    assert open_run.log.call_args.kwargs == {"step": 300}
    run.finish("stopped")
    open_run.finish.assert_called_once_with(exit_code=0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_run_is_logged_once(tmp_path: Path, home: Path) -> None:
    """Resumed from before what was logged, it has each value once, and the ends of both parts."""
    run = killed_and_resumed(tmp_path, "wandb", 'mode = "offline"')
    files = offline_runs(run.directory)
    assert without_times(values(files)) == without_times(expected(run))
    assert len(values(files)) == len(expected(run))
    assert exit_codes(files) == [137, 0]
    assert left_running(home) == []
    assert list(home.iterdir()) == []

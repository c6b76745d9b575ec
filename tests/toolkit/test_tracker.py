"""The learner's side of trackers, with whole runs; the process's own side is in test_tracking.py."""

from __future__ import annotations

import json
from itertools import repeat
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from stub_tracker import StubTracker, told

from framework.callbacks import CallbackContext
from framework.errors import PluginError, RunError
from framework.runtime.session import Session
from framework.studies.recorded_run import RecordedRun

TABLE = '[[callback]]\nuse = "stub_tracker:StubTracker"\n'


def processes() -> list[str]:
    """Command lines of the processes that log a run."""
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [" ".join(command) for command in commands if "framework.toolkit.tracking" in command]


def play(folder: Path, text: str = TABLE, resume: Path | None = None, **overrides: Any) -> RecordedRun:
    session = Session(tiny.load(folder, text, **overrides), root=folder / "runs", resume=resume)
    list(session.updates())
    return RecordedRun(session.directory)


def numbers(line: dict[str, Any], *without: str) -> dict[str, float]:
    return {name: value for name, value in line.items() if name not in without}


def dropped(run: RecordedRun) -> dict[str, Any]:
    [event] = [event for event in run.events if event["event"] == "callback_dropped"]
    return event


def test_a_run_is_logged_whole(tmp_path: Path) -> None:
    """Every update and evaluation with its steps, and how it ended; the tracker's process has ended, too."""
    run = play(tmp_path, evaluation__episodes=1, evaluation__every_steps=32)
    assert told(run.directory, "open") == [[None, run.directory.name, False, sorted(run.pipeline)]]
    expected = [
        [line["steps"], numbers(line, "steps", *(["update"] if line in run.evaluations else []))]
        for line in run.metrics
    ]
    assert told(run.directory, "log") == expected
    assert told(run.directory, "finish") == [["done"]]
    assert not any(str(run.directory) in command for command in processes())
    assert [event["event"] for event in run.events if "dropped" in event["event"]] == []


@pytest.mark.parametrize("call", ["open", "log", "finish"])
def test_a_tracker_that_raises_harms_no_run(tmp_path: Path, call: str) -> None:
    """The run is done, and an event has what the tracker said."""
    run = play(tmp_path, f'{TABLE}raises_in = "{call}"\n')
    assert run.status == "done"
    assert f"RuntimeError: the tracker is down: {call}" in dropped(run)["reason"]


@pytest.mark.parametrize("call", ["open", "log", "finish"])
def test_a_tracker_that_hangs_is_killed_at_the_end(tmp_path: Path, call: str) -> None:
    """After the seconds that its options give it; the run is done, and an event says so."""
    run = play(tmp_path, f'{TABLE}hangs_in = "{call}"\nfinish_seconds = 0.3\n')
    assert run.status == "done"
    assert dropped(run)["hook"] == "run_finished"
    assert "stub_tracker has not finished in 0.3 s and was killed" in dropped(run)["reason"]


def test_a_killed_run_is_logged_once(tmp_path: Path) -> None:
    """What happens again after the checkpoint is not logged again; what the tracker lacks is, by the next process."""
    lines = [json.dumps({"update": number, "steps": 16 * number, "return": 1.0}) + "\n" for number in range(1, 6)]
    record = tmp_path / "metrics.jsonl"
    record.write_text("".join(lines[:3]))
    killed = StubTracker(StubTracker.Config(), CallbackContext(tmp_path))
    killed.run_started(tmp_path, {})
    killed.update_finished()
    killed._input.close()  # as the system does it when the learner is gone
    killed._process.wait()
    assert (told(tmp_path, "log")[-1], told(tmp_path, "finish")) == ([48, {"update": 3, "return": 1.0}], [["killed"]])
    resumed = StubTracker(StubTracker.Config(), CallbackContext(tmp_path))
    resumed.run_started(tmp_path, {})
    record.write_text("".join(lines[:2]))  # the run is rewound to its checkpoint, and goes on
    record.write_text("".join(lines))
    resumed.update_finished()
    resumed.run_finished("done")
    assert [steps for steps, _ in told(tmp_path, "log")] == [16, 32, 48, 64, 80]
    assert [arguments[:3] for arguments in told(tmp_path, "open")] == [
        [None, tmp_path.name, False],
        ["the-first", tmp_path.name, True],
    ]
    assert told(tmp_path, "finish")[1:] == [["done"]]


def test_videos_and_checkpoints_are_logged_as_options_say(tmp_path: Path) -> None:
    """Videos unless they are switched off, checkpoints where they are switched on."""
    logged = {}
    for name, options in {"default": "", "other": "videos = false\ncheckpoints = true\n"}.items():
        (directory := tmp_path / name).mkdir()
        (directory / "checkpoint").mkdir()
        (directory / "metrics.jsonl").write_text('{"update": 1, "steps": 16, "return": 1.0}\n')
        config = StubTracker.Config() if not options else StubTracker.Config(videos=False, checkpoints=True)
        tracker = StubTracker(config, CallbackContext(directory))
        tracker.run_started(directory, {"run": {"name": name}})
        tracker.update_finished()
        tracker.video_saved(directory / "video.mp4", 16)
        tracker.checkpoint_saved(directory / "checkpoint")
        tracker.run_finished("done")
        logged[name] = told(directory, "video"), told(directory, "checkpoint")
    assert logged == {"default": ([[16, "video.mp4"]], []), "other": ([], [["checkpoint"]])}


@pytest.mark.parametrize("call", ["open", "log", "finish"])
def test_no_process_outlives_a_killed_learner_for_long(tmp_path: Path, call: str) -> None:
    """Whatever the tracker does, it ends by itself after the seconds that a run's end gives it."""
    (tmp_path / "metrics.jsonl").write_text('{"update": 1, "steps": 16, "return": 1.0}\n')
    tracker = StubTracker(StubTracker.Config(hangs_in=call, finish_seconds=0.3), CallbackContext(tmp_path))
    tracker.run_started(tmp_path, {})
    tracker.update_finished()
    tracker._input.close()
    assert tracker._process.wait() == 1


def test_the_learner_waits_for_no_tracker(tmp_path: Path) -> None:
    """One that takes nothing is dropped when its pipe is full, at once."""
    (tmp_path / "metrics.jsonl").touch()
    tracker = StubTracker(StubTracker.Config(hangs_in="open"), CallbackContext(tmp_path))
    tracker.run_started(tmp_path, {})
    with pytest.raises(RunError, match="stub_tracker hangs: its process does not take any more messages"):
        list(map(tracker.video_saved, repeat(tmp_path / "video.mp4"), range(10_000)))
    assert not any(str(tmp_path) in command for command in processes())


def test_a_missing_package_is_named_when_it_is_built(tmp_path: Path) -> None:
    """With the command that installs it."""

    class Missing(StubTracker):
        package = "no_such_package"

    with pytest.raises(PluginError, match=r'no_such_package is missing: pip install "framework-rl\[stub\]"'):
        Missing(StubTracker.Config(), CallbackContext(tmp_path))

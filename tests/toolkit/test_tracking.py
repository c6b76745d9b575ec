"""What the process of a tracker logs of a record, without the process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from framework.toolkit import tracking
from framework.toolkit.tracking import Follower, Line, Progress, flattened


class Logged:
    """A tracker's run that notes the order of calls."""

    id = "logged"

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def log(self, lines: Sequence[Line]) -> None:
        self.calls += [line.steps for line in lines]

    def log_video(self, video: Path, steps: int) -> None:
        self.calls.append(f"{video} at {steps}")

    def log_checkpoint(self, checkpoint: Path) -> None:
        self.calls.append(checkpoint.name)

    def finish(self, status: str) -> None:
        self.calls.append(status)


def follower(folder: Path, progress: Progress | None = None) -> tuple[Follower, Logged]:
    run = Logged()
    return Follower(run, folder, progress or Progress(), folder / "progress.json"), run


def update(number: int) -> dict[str, Any]:
    return {"update": number, "steps": 100 * number, "return": 1.0}


def evaluation(number: int) -> dict[str, Any]:
    return {"update": number, "steps": 100 * number, "evaluation/return": 1.0}


def test_whole_lines_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is left until its end is there; a long backlog is read in parts."""
    monkeypatch.setattr(tracking, "_CHUNK", 1000)
    follows, _ = follower(tmp_path)
    record = tmp_path / "metrics.jsonl"
    record.write_text(json.dumps(update(1)) + '\n{"update": 2, ')
    assert follows.read() == [update(1)]
    assert follows.read() == []
    with record.open("a") as file:
        file.write('"steps": 200, "return": 1.0}\n')
        file.writelines(json.dumps(update(number)) + "\n" for number in range(3, 500))
    parts = []
    while part := follows.read():
        parts.append(part)
    assert len(parts) > 1
    assert [line["update"] for part in parts for line in part] == list(range(2, 500))


def test_videos_come_between_the_lines_that_they_belong_to(tmp_path: Path) -> None:
    """After the evaluation that they show, before the next update, and not before their evaluation is read."""
    follows, run = follower(tmp_path)
    for number in (2, 3):
        follows.add({"video": f"video-{number}", "steps": 100 * number})
    follows.log([update(1), update(2), evaluation(2)])
    assert run.calls == [100, 200, 200, "video-2 at 200"]
    follows.log([update(3), evaluation(3), update(4)])
    assert run.calls[4:] == [300, 300, "video-3 at 300", 400]


def test_what_is_logged_already_is_left_out(tmp_path: Path) -> None:
    """By the update for updates and evaluations apart, and by steps for videos."""
    follows, run = follower(tmp_path, Progress(update=3, evaluation=2, video=200))
    for number in (2, 3):
        follows.add({"video": f"video-{number}", "steps": 100 * number})
    follows.log([update(1), update(2), evaluation(2), update(3), evaluation(3), update(4)])
    assert run.calls == [300, "video-3 at 300", 400]
    assert Progress.read(tmp_path / "progress.json") == Progress(update=4, evaluation=3, video=300)


def test_checkpoints_that_are_gone_are_left_out(tmp_path: Path) -> None:
    """Older ones are deleted, which a slow tracker may come too late for."""
    follows, run = follower(tmp_path)
    (tmp_path / "kept").mkdir()
    for name in ("gone", "kept"):
        follows.add({"checkpoint": str(tmp_path / name)})
    follows.log([])
    assert run.calls == ["kept"]


def test_only_numbers_are_logged(tmp_path: Path) -> None:
    """Steps are the axis; an evaluation's update has a line of its own; what is no number is nothing to plot."""
    lines: list[Line] = []
    run = Logged()
    run.log = lines.extend  # type: ignore[method-assign]
    follows = Follower(run, tmp_path, Progress(), tmp_path / "progress.json")
    follows.log([update(1) | {"name": "x", "flag": True, "none": None, "nan": float("inf")}, evaluation(1)])
    assert lines == [
        Line(100, {"update": 1, "return": 1.0, "nan": float("inf")}),
        Line(100, {"evaluation/return": 1.0}),
    ]


def test_pipelines_are_flattened() -> None:
    """Tables give dotted keys, tables in arrays are numbered, and plain arrays stay."""
    pipeline = {"run": {"name": "x"}, "bonus": [{"use": "rnd"}, {"use": "icm"}], "sizes": [1, 2], "empty": []}
    assert flattened(pipeline) == {
        "run.name": "x",
        "bonus.0.use": "rnd",
        "bonus.1.use": "icm",
        "sizes": [1, 2],
        "empty": [],
    }

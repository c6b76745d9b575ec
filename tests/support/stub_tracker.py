"""A tracker that keeps what it is told in a file, and fails or hangs where a test wants it to."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from framework.schema import option
from framework.toolkit.tracker import Tracker, TrackerConfig
from framework.toolkit.tracking import Line, TrackedRun


class StubTracker(Tracker):
    package = "stub_tracker"
    extra = "stub"
    open_run = "stub_tracker:StubRun"

    @frozen
    class Config(TrackerConfig):
        raises_in: str = option("", help="The method that raises.")
        hangs_in: str = option("", help="The method that never returns.")


class StubRun:
    """Each call is a line of ``stub.jsonl`` in the run directory."""

    def __init__(self, config: StubTracker.Config, run: TrackedRun):
        self._config, self._file = config, run.directory / "stub.jsonl"
        self.id = run.id or "the-first"
        self._tell("open", run.id, run.name, run.has_metrics, sorted(run.pipeline))

    def log(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self._tell("log", line.steps, line.values)

    def log_video(self, video: Path, steps: int) -> None:
        self._tell("video", steps, video.name)

    def log_checkpoint(self, checkpoint: Path) -> None:
        self._tell("checkpoint", checkpoint.name)

    def finish(self, status: str) -> None:
        self._tell("finish", status)

    def _tell(self, call: str, *arguments: Any) -> None:
        if self._config.raises_in == call:
            raise RuntimeError(f"the tracker is down: {call}")
        if self._config.hangs_in == call:
            time.sleep(600)
        with self._file.open("a") as file:
            file.write(json.dumps([call, *arguments]) + "\n")


def told(directory: Path, call: str) -> list[list[Any]]:
    """The arguments of all such calls."""
    lines = [json.loads(line) for line in (directory / "stub.jsonl").read_text().splitlines()]
    return [arguments for name, *arguments in lines if name == call]

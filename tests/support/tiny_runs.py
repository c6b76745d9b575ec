"""Runs of the tiny pipeline in this process, by the learner alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import tiny

from framework.runtime.disk.checkpoint import checkpoints
from framework.runtime.disk.run_directory import Record
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.learn.learner import Learner
from framework.runtime.learn.update import Update

STEPS = 16  #: environment steps of an update


class FakeLifecycle:
    """Hears of everything in its order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def call(self, hook: str, **arguments: Any) -> None:
        line = arguments.get("metrics") or arguments.get("evaluation") or {"update": arguments["checkpoint"].name}
        self.heard.append(f"{hook} {line['update']}")


class Run:
    """A new run, or one that goes on in ``directory``."""

    def __init__(self, folder: Path, text: str = "", directory: Path | None = None, **overrides: Any):
        # Checkpoints at the end alone, as flushing them takes longer than all else.
        pipeline = tiny.load(folder, text, **{"checkpoint__every_seconds": 1000.0} | overrides)
        self.record = Record(directory) if directory else Record.create(pipeline, folder / "runs")
        self.directory = self.record.directory
        self.lifecycle: Any = FakeLifecycle()
        self.interrupt = Interrupt()
        self._pipeline, self._resume = pipeline, directory is not None

    def end(self, during: Callable[[Update], Any] = bool) -> list[Update]:
        """Run to the end, calling ``during`` after each update; returns the updates."""
        completed = []
        with closing(self.record):
            learner = Learner(
                *(self._pipeline, self.record, self.lifecycle, None, ""), resume=self._resume, interrupt=self.interrupt
            )
            updates: Any = learner.run()
            with closing(updates):
                for update in updates:
                    completed.append(update)
                    during(update)
        return completed

    def names(self, prefix: str = "update-") -> list[str]:
        return [path.name for path in checkpoints(self.directory / "checkpoints", prefix)]

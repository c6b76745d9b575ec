"""Trains nothing: writes what a run would have written, with scores that a test gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from framework.errors import RunError
from framework.studies.jobs import Job
from framework.studies.recorded_run import RecordedRun

#: The evaluations of a run, by steps; None for a run that fails.
Scores = Callable[[Job], "dict[int, float] | None"]


def trial_number(job: Job) -> int:
    """The trial that a job belongs to."""
    return int(job.folder.parent.name)


class FakeTrainer:
    """Stands for `framework.studies.jobs.Jobs`.

    Args:
        scores: of each run.
        waits: whether runs go on until `finish`.
    """

    def __init__(self, scores: Scores, *, waits: bool = False):
        self._scores, self._waits = scores, waits
        self.pending: list[tuple[Job, Future[RecordedRun]]] = []
        self.started: list[Path] = []
        self.ended: list[Path] = []

    def start(self, job: Job) -> Future[RecordedRun]:
        """Write the run, and end it unless it is to wait."""
        future: Future[RecordedRun] = Future()
        self.started.append(job.folder)
        self._write(job, "")
        self.pending.append((job, future))
        if not self._waits:
            self.finish(0)
        return future

    def finish(self, index: int, status: str = "done") -> None:
        """End the pending run at an index."""
        job, future = self.pending.pop(index)
        if not future.set_running_or_notify_cancel():
            return
        failed = self._scores(job) is None
        self._write(job, "failed" if failed else status)
        kept = job.kept()
        if failed or status != "done" or kept is None:
            future.set_exception(RunError(f"{job.log} says why"))
        else:
            future.set_result(kept)

    def end(self, job: Job) -> None:
        """Note that a job is to end."""
        self.ended.append(job.folder)

    def _write(self, job: Job, status: str) -> None:
        folder = job.folder / "run"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pipeline.toml").write_text('[run]\nname = "run"\nseed = 0\n')
        (folder / "manifest.json").write_text("{}")
        scores = self._scores(job) or {}
        lines = [{"update": steps, "steps": steps, "evaluation/return": score} for steps, score in scores.items()]
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        if status:
            (folder / "events.jsonl").write_text(json.dumps({"event": "finished", "status": status}) + "\n")

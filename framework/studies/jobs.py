"""Runs trained in processes of their own, several at a time: kept where they are whole, resumed where they are not."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import frozen

import framework
from framework.errors import FrameworkError, RunError
from framework.studies.identity import differing
from framework.studies.recorded_run import RecordedRun
from framework.toolkit.background import end_with_parent

_GRACE = 60.0  # seconds that a run has to save a checkpoint
_LOOK = 0.2  # seconds between two looks
_ENDED = "the run was ended before it was started"


@frozen
class Job:
    """One run to be trained: the only one in its folder."""

    folder: Path
    pipeline: Path
    overrides: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """What its process prints."""
        return self.folder / "log.txt"

    def kept(self) -> RecordedRun | None:
        """The run in the folder; None where there is none yet. Raises `RunError` where there are several."""
        directories = sorted(path.parent for path in self.folder.glob("*/manifest.json"))
        if len(directories) > 1:
            raise RunError(f"{self.folder} has {len(directories)} runs: remove all but one")
        return RecordedRun(directories[0]) if directories else None


class Jobs:
    """Trains jobs, at most ``count`` at a time. As a context manager it ends those that it has started.

    Args:
        count: how many processes at a time.
        tell: hears in a line of each job that is started.
    """

    def __init__(self, count: int, tell: Callable[[str], None] = lambda line: None):
        self._tell = tell
        self._pool = ThreadPoolExecutor(count)
        self._processes: dict[Path, subprocess.Popen[Any]] = {}  # the last of each folder
        self._ended: set[Path] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            alive = [process for process in self._processes.values() if process.poll() is None]
        for process in alive:
            process.terminate()  # it saves a checkpoint
        try:
            deadline = time.monotonic() + _GRACE
            for process in alive:
                process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:  # also after a second Ctrl-C, which asks for no more patience
            for process in alive:
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def train(self, jobs: Sequence[Job]) -> list[RecordedRun]:
        """The whole runs of ``jobs``, in their order; trains what is missing. Raises as `run` does."""
        futures = [self.start(job) for job in jobs]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def start(self, job: Job) -> Future[RecordedRun]:
        """Have a job run as soon as there is room; its result is that of `run`."""
        return self._pool.submit(self.run, job)

    def end(self, job: Job) -> None:
        """Have a job's run saved and ended, or not be started; its `run` raises `RunError`. Returns at once."""
        with self._lock:
            self._ended.add(job.folder)
            process = self._processes.get(job.folder)
            if process is not None and process.poll() is None:
                process.terminate()

    def run(self, job: Job) -> RecordedRun:
        """The whole run of a job, from any thread.

        Raises `FrameworkError` where the run that is kept is one of another pipeline, and `RunError` where training
        fails, naming the log.
        """
        job.folder.mkdir(parents=True, exist_ok=True)
        kept = self._once_released(job)
        if kept is not None:
            self._check(job, kept)
            if kept.status in ("done", "stopped"):
                return kept
        arguments = ["--resume", kept.directory] if kept else [job.pipeline, *job.overrides, "--runs", job.folder]
        with job.log.open("a") as log:
            process = self._start(job, [sys.executable, "-m", "framework", "run", *map(str, arguments)], log)
            self._tell(f"{job.folder}: {'resumed' if kept else 'trained'} by process {process.pid}")
            status = process.wait()
        if status:
            raise RunError(f"training in {job.folder} ended with exit code {status}: {job.log} says why")
        trained = job.kept()
        assert trained is not None
        return trained

    @staticmethod
    def _check(job: Job, kept: RecordedRun) -> None:
        requested = framework.load(job.pipeline, job.overrides).to_plain()
        if keys := differing(requested, kept.pipeline):
            raise FrameworkError(
                f"{kept.directory} is a run of another pipeline: {', '.join(keys)} differ; remove it, or choose"
                " another folder"
            )

    def _start(self, job: Job, command: list[str], log: Any) -> subprocess.Popen[Any]:
        with self._lock:
            if self._is_ended(job):
                raise RunError(_ENDED)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once, from us: a second one would end it unsaved
                preexec_fn=end_with_parent,  # noqa: PLW1509  one call of C, loaded before
            )
            self._processes[job.folder] = process
            return process

    def _is_ended(self, job: Job) -> bool:
        return self._closed or job.folder in self._ended

    def _once_released(self, job: Job) -> RecordedRun | None:
        """The run that is kept, once no process runs it: that of a study that was killed is still saving it."""
        deadline = time.monotonic() + _GRACE
        while (kept := job.kept()) is not None and kept.status == "running":
            if self._is_ended(job):
                raise RunError(_ENDED)
            if time.monotonic() > deadline:
                raise RunError(f"{kept.directory}: another process is running this run")
            time.sleep(_LOOK)
        return kept

"""A study while it is trained: bars in a terminal, plain lines where there is none."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Protocol

import click

from framework.errors import FrameworkError, RunError
from framework.studies.jobs import Job, Jobs
from framework.studies.recorded_run import RecordedRun
from framework.studies.study import Study

_BAR_INTERVAL = 0.5  # seconds between two looks at the runs, for bars
_LOOK = 1.0  # and for lines, of which one comes every so many seconds
_LINE_INTERVAL = 30.0
_TAIL = 2**16  # bytes in which the last whole line of a file lies


class View(Protocol):
    """A display of a study."""

    interval: float

    def show(self, steps: dict[str, tuple[int, int]], finished: int) -> None:
        """Show how many runs are finished, and steps done and to do of each that is being trained."""

    def say(self, text: str) -> None:
        """Show a permanent line."""


def train(study: Study, count: int) -> None:
    """Train what is missing of a study, ``count`` runs at a time, and show on standard error how it goes on.

    A run that fails does not end the others. Raises `RunError` at the end where some have; what `Study.at_work` raises;
    `KeyboardInterrupt` once the runs that were being trained are saved.
    """
    named, failures = study.jobs, []
    totals = dict(zip(named, study.total_steps, strict=True))
    with study.at_work(), Jobs(count) as jobs, _view(len(named)) as view:
        futures = {jobs.start(job): name for name, job in named.items()}
        pending = set(futures)
        try:
            while pending:
                finished, pending = wait(pending, view.interval, FIRST_COMPLETED)
                for future in finished:
                    name, error = futures[future], future.exception()
                    if error is None:
                        view.say(f"{name}: {_outcome(future.result())}")
                    elif isinstance(error, FrameworkError):
                        failures.append(f"{name}: {error}")
                        view.say(failures[-1])
                    else:
                        raise error
                training = {futures[future] for future in pending if future.running()}
                steps = {name: (_steps(job), totals[name]) for name, job in named.items() if name in training}
                view.show(steps, len(named) - len(pending))
        except KeyboardInterrupt:
            view.say("saving the runs that are being trained; once more to end at once")
            raise
    if failures:
        raise RunError(f"{len(failures)} of {len(named)} runs failed; the same command tries them again")


def _steps(job: Job) -> int:
    return max((_steps_so_far(path) for path in job.folder.glob("*/metrics.jsonl")), default=0)


def _steps_so_far(metrics: Path) -> int:
    """Environment steps that a run has learned from by now, from the end of its metrics alone."""
    with metrics.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        lines = file.read().split(b"\n")[:-1]  # what follows the last newline is being written
    try:
        return int(json.loads(lines[-1])["steps"])
    except (ValueError, LookupError, TypeError):  # none is whole yet
        return 0


def _outcome(run: RecordedRun) -> str:
    score = f", return {run.evaluations[-1]['evaluation/return']:.2f}" if run.evaluations else ""
    return f"{run.status} after {run.steps:,} steps{score}"


@contextmanager
def _view(count: int) -> Iterator[View]:
    with _bars(count) if sys.stderr.isatty() else _lines(count) as view:
        yield view


@contextmanager
def _lines(count: int) -> Iterator[View]:
    class Lines:
        interval = _LOOK

        def __init__(self) -> None:
            self._started: set[str] = set()
            self._shown = monotonic()

        def show(self, steps: dict[str, tuple[int, int]], finished: int) -> None:
            for name in steps.keys() - self._started:
                self.say(f"{name}: training")
            self._started |= steps.keys()
            if steps and monotonic() - self._shown > _LINE_INTERVAL:
                told = ", ".join(f"{name} at {done / total:.0%}" for name, (done, total) in steps.items())
                self.say(f"{finished} of {count} runs finished; {told}")
                self._shown = monotonic()

        def say(self, text: str) -> None:
            click.echo(text, err=True)

    yield Lines()


@contextmanager
def _bars(count: int) -> Iterator[View]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    class Bars:
        interval = _BAR_INTERVAL

        def __init__(self, progress: Progress):
            self._progress = progress
            self._whole = progress.add_task("runs finished", total=count)
            self._tasks: dict[str, TaskID] = {}

        def show(self, steps: dict[str, tuple[int, int]], finished: int) -> None:
            for name in self._tasks.keys() - steps.keys():
                self._progress.remove_task(self._tasks.pop(name))
            for name, (done, total) in steps.items():
                if name not in self._tasks:
                    self._tasks[name] = self._progress.add_task(name, total=total, completed=done)
                self._progress.update(self._tasks[name], completed=done)
            self._progress.update(self._whole, completed=finished, refresh=True)

        def say(self, text: str) -> None:
            self._progress.console.print(text, markup=False, highlight=False)

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bars(progress)

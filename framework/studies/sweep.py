"""Settings searched for by training: trials that are drawn, trained, pruned, and written to a ledger.

The process may be killed at any moment. Whoever starts the sweep again finds its trials in the ledger and its runs in
their directories, and goes on with them. What is drawn and what is pruned depends on results alone, not on when they
come in: trial ``n`` is drawn from those of the trials before ``n - lag``, however many more have ended.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from attrs import define, field, frozen

from framework.errors import FrameworkError, RunError, writing
from framework.pipeline import Pipeline
from framework.pipeline.document import differences
from framework.studies.jobs import Job
from framework.studies.ledger import Ledger, Trial
from framework.studies.recorded_run import RecordedRun
from framework.studies.space import Space

#: Of a sweep whose pipeline does not say when it evaluates: how many times it does, for pruning.
EVALUATIONS = 5
#: Where so many first trials fail, and none has done better, the sweep ends.
HOPELESS = 3
#: The share of its steps that a trial has in any case.
_UNTOUCHED = 1 / 3
_LOOK = 1.0  # seconds between two looks at running trials, at the least


@frozen
class Plan:
    """What a sweep does."""

    pipeline: Path
    loaded: Pipeline
    space: Space
    trials: int = 50
    jobs: int = 1  #: runs at a time
    seeds: int = 1  #: runs of a trial, with seeds from ``run.seed`` on; its score is their mean
    metric: str = "evaluation/return"  #: column of ``metrics.jsonl`` whose last value is to be large
    startup: int = 10
    prune: bool = True

    @property
    def every_steps(self) -> int:
        """Environment steps between two milestones of a run."""
        return self.loaded.evaluation.every_steps or max(1, self.loaded.run.total_steps // EVALUATIONS)

    @property
    def adds_evaluations(self) -> bool:
        """Whether runs are evaluated on their way though the pipeline does not say so."""
        return self.prune and self.metric.startswith("evaluation/") and not self.loaded.evaluation.every_steps

    def to_plain(self) -> dict[str, Any]:
        """What may not change between two starts: else results would be compared that cannot be."""
        return {
            "pipeline": self.loaded.to_plain(),
            "space": self.space.to_plain(),
            "seeds": self.seeds,
            "metric": self.metric,
            "startup": self.startup,
            "prune": self.prune,
        }


class Trainer(Protocol):
    """What trains runs: `framework.studies.jobs.Jobs`."""

    def start(self, job: Job) -> Future[RecordedRun]:
        """Train a job's run in the background."""

    def end(self, job: Job) -> None:
        """Have it ended early."""


@define
class _Running:
    """A trial that goes on: the runs of its seeds."""

    number: int
    jobs: list[Job]
    futures: list[Future[RecordedRun]]
    judged: set[int] = field(factory=set)  #: milestones


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder of a sweep, as its only process. Raises `RunError` where another one has it."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder}: another process is at this sweep") from None
        yield


def settle(folder: Path, plan: Plan) -> int:
    """Write down what the sweep in ``folder`` does, or check that it is what it did; returns its lag.

    Raises `FrameworkError` where it did anything else.
    """
    path, settings = folder / "sweep.json", json.loads(json.dumps(plan.to_plain()))
    if path.exists():
        try:
            recorded = json.loads(path.read_text(encoding="utf-8"))
            lag = int(recorded.pop("lag"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FrameworkError(f"{path} is not the record of a sweep: {error}") from None
        if differing := sorted(differences(recorded, settings)):
            raise FrameworkError(
                f"{folder} has a sweep with other settings: {', '.join(differing)} differ; choose another --folder, or"
                " remove this one"
            )
        return lag
    lag = 2 * (plan.jobs - 1)
    new = folder / ".sweep.json.new"
    with writing(path):
        with new.open("w", encoding="utf-8") as file:
            json.dump(settings | {"lag": lag}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    return lag


class Sweep:
    """A sweep whose folder is `claimed` and whose settings are `settle`\\ d.

    Args:
        lag: how many trials before a new one it is not drawn from; they may still be running.
        tell: hears in a line how each trial begins and ends.
    """

    def __init__(
        self, plan: Plan, folder: Path, lag: int, ledger: Ledger, trainer: Trainer, tell: Callable[[str], None]
    ):
        self._plan, self._folder, self._lag = plan, folder, lag
        self._ledger, self._trainer, self._tell = ledger, trainer, tell
        self._running: list[_Running] = []

    def run(self) -> None:
        """Train until all trials have ended; those that the ledger has as running go on first.

        Raises `RunError` where the first trials all fail, and where a run is interrupted by somebody else.
        """
        self._running = [self._continue(trial) for trial in self._ledger.trials() if trial.state == "running"]
        while True:
            self._check_hope()
            while self._may_begin():
                self._begin()
            if not self._running:
                return
            before = time.monotonic()
            self._running = [trial for trial in self._running if not self._ends(trial)]
            pause = max(_LOOK, 20 * (time.monotonic() - before))  # records of long runs take long to read
            if pending := [future for trial in self._running for future in trial.futures if not future.done()]:
                wait(pending, pause, FIRST_COMPLETED)

    def _may_begin(self) -> bool:
        number = len(self._ledger.trials())
        runs = sum(not future.done() for trial in self._running for future in trial.futures)
        oldest = min((trial.number for trial in self._running), default=number)
        return number < self._plan.trials and runs < self._plan.jobs and oldest >= number - self._lag

    def _begin(self) -> None:
        trial = self._ledger.begin(self._history(len(self._ledger.trials())))
        self._tell(f"trial {trial.number}: {self._plan.space.describe(trial.values)}")
        self._running.append(self._train(trial))

    def _continue(self, trial: Trial) -> _Running:
        self._tell(f"trial {trial.number} goes on: {self._plan.space.describe(trial.values)}")
        return self._train(trial)

    def _train(self, trial: Trial) -> _Running:
        jobs = trial_jobs(self._plan, self._folder, trial)
        return _Running(trial.number, jobs, [self._trainer.start(job) for job in jobs])

    def _history(self, number: int) -> int:
        """How many trials a trial knows of: all of them have ended when it is drawn."""
        return max(0, number - self._lag)

    def _check_hope(self) -> None:
        trials, few = self._ledger.trials(), min(HOPELESS, self._plan.trials)
        if len(trials) >= few and all(trial.state == "failed" for trial in trials[:few]):
            if any(trial.state in ("complete", "pruned") for trial in trials):
                return
            raise RunError(
                f"all of the first {few} trials failed: {trials[0].failure}\nMend it, remove {self._folder}, and start"
                " again."
            )

    def _ends(self, trial: _Running) -> bool:
        """Look at a running trial; whether it has ended, which the ledger then has."""
        done = [future.done() for future in trial.futures]  # before the look: what is done has all that there is to see
        if self._plan.prune and self._falls_short(trial):
            self._ledger.prune(trial.number)
            self._tell(f"trial {trial.number}: pruned")
            self._leave(trial)
            return True
        for job, future, is_done in zip(trial.jobs, trial.futures, done, strict=True):
            error = future.exception() if is_done else None
            if error is not None:
                self._give_up(trial, job, error)
                return True
        if not all(done):
            return False
        score = fmean(future.result().series(self._plan.metric).y[-1] for future in trial.futures)
        if math.isfinite(score):
            self._ledger.complete(trial.number, score)
            self._tell(f"trial {trial.number}: {self._plan.metric} {score:g}")
        else:
            self._fail(trial, f"{self._plan.metric} is {score} in {trial.jobs[0].folder.parent}")
        return True

    def _falls_short(self, trial: _Running) -> bool:
        """Whether a trial's first seed is worse, at one of its milestones, than half of those before it were there."""
        for milestone, score in self._milestones(trial.jobs[0]).items():
            if milestone in trial.judged:
                continue
            if milestone not in self._ledger.trials()[trial.number].milestones:
                self._ledger.report(trial.number, milestone, score)
            trial.judged.add(milestone)
            reached = milestone * self._plan.every_steps / self._plan.loaded.run.total_steps
            if reached >= _UNTOUCHED and self._ledger.falls_short(trial.number, self._history(trial.number)):
                return True
        return False

    def _milestones(self, job: Job) -> dict[int, float]:
        """The first scores of a run after each `every_steps`, but for those at its end."""
        scores: dict[int, float] = {}
        try:
            series = kept.series(self._plan.metric) if (kept := job.kept()) is not None else None
        except RunError:
            series = None  # nothing recorded yet
        for steps, score in zip(series.x, series.y, strict=True) if series is not None else ():
            milestone = int(steps) // self._plan.every_steps
            if milestone and steps < self._plan.loaded.run.total_steps and math.isfinite(score):
                scores.setdefault(milestone, float(score))
        return scores

    def _give_up(self, trial: _Running, job: Job, error: BaseException) -> None:
        if not isinstance(error, RunError):
            raise error
        kept = job.kept()
        if kept is not None and kept.status == "interrupted":
            raise RunError(f"{kept.directory} was interrupted: start the sweep again, and it goes on") from error
        self._fail(trial, str(error))

    def _fail(self, trial: _Running, reason: str) -> None:
        self._ledger.fail(trial.number, reason)
        self._tell(f"trial {trial.number}: failed: {reason}")
        self._leave(trial)

    def _leave(self, trial: _Running) -> None:
        for job, future in zip(trial.jobs, trial.futures, strict=True):
            if not future.cancel():
                self._trainer.end(job)


def trial_jobs(plan: Plan, folder: Path, trial: Trial) -> list[Job]:
    """The runs of a trial, one for each seed."""
    first = plan.loaded.run.seed
    evaluations = (f"evaluation.every_steps={plan.every_steps}",) if plan.adds_evaluations else ()
    return [
        Job(
            folder / "trials" / str(trial.number) / f"seed-{seed}",
            plan.pipeline,
            (*plan.space.overrides(trial.values), *evaluations, f"run.seed={seed}"),
        )
        for seed in range(first, first + plan.seeds)
    ]

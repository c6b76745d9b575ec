"""A run from outside: started or resumed, and iterated over. Importing this module does not import torch."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from inspect import GEN_CREATED, getgeneratorstate
from pathlib import Path
from typing import TYPE_CHECKING

from framework.callbacks import CallbackContext
from framework.catalog import default_catalog
from framework.errors import RunError
from framework.lifecycle import HookFailure, Lifecycle, StopRequest
from framework.pipeline.build import build
from framework.plugins import describe
from framework.runtime.launch.local import LocalStarter
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.learn.ranks import Rank, mark, marked, place
from framework.runtime.link.endpoint import SocketFolder

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline
    from framework.runtime.disk.run_directory import Listener, Record
    from framework.runtime.launch.starter import Starter
    from framework.runtime.learn.update import Update
    from framework.studies.recorded_run import Status


class Session:
    """One run. Iterate over `updates` to make it happen.

    It is proved when the session is made: `FrameworkError` where the environment, a component, the device or a callback
    cannot be made, before there is a run directory.

    Args:
        pipeline: what to run.
        root: the folder in which the run directory is made.
        resume: a run directory to resume, instead of a new one.
        interrupt: when requested, the run saves a checkpoint and ends with `KeyboardInterrupt`.
        listener: hears of every event of the run, as it is recorded in ``events.jsonl``.
        rank: of this process, the first of those that share the learner's work; None where there is no other.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        root: Path = Path("runs"),
        resume: Path | None = None,
        interrupt: Interrupt | None = None,
        listener: Listener | None = None,
        rank: Rank | None = None,
    ):
        self._rank = rank
        self.pipeline = pipeline
        self._interrupt = interrupt
        self._resumed = resume is not None
        # Idle threads of the learner would otherwise spin on the cores that samplers need. Read when torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        with ExitStack() as opened:
            self._endpoint = ""
            self._starter: Starter | None = None
            if pipeline.runtime.samplers or pipeline.runtime.listen is not None:
                folder = opened.enter_context(closing(SocketFolder()))
                self._endpoint = folder.endpoint
                if pipeline.runtime.samplers and pipeline.run.offline_steps < pipeline.run.total_steps:
                    # The helper that local samplers come from imports torch at the same time as we do.
                    self._starter = opened.enter_context(closing(LocalStarter(folder)))
            self._record = self._prepare(root, resume, listener)
            if rank is not None:
                mark(self.directory)
            self._open = opened.pop_all()

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self._record.directory

    def updates(self) -> Generator[Update]:
        """Run; closing the iterator early saves a checkpoint and ends the run."""
        from framework.runtime.learn.learner import Learner

        status: Status = "failed"
        control, lifecycle = StopRequest(), self._lifecycle
        try:
            lifecycle.call("run_started", directory=self.directory, pipeline=self.pipeline.to_plain(), control=control)
            learner = Learner(
                self.pipeline,
                self._record,
                lifecycle,
                self._starter,
                self._endpoint,
                resume=self._resumed,
                interrupt=self._interrupt,
                control=control,
                rank=self._rank,
                prepared=self._prepared,
            )
            if self._resumed:
                self._record.adopt(self.pipeline)
            yield from learner.run()
            status = "stopped" if control.reason else "done"
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        except BaseException as error:
            self._record.event("failed", reason=describe(error))
            raise
        finally:
            self._open.close()
            lifecycle.call("run_finished", directory=self.directory, status=status)
            self._finish(self._record, status)

    def close(self) -> None:
        """End a run of which no update was asked for."""
        self._prepared.worker.close()
        self._open.close()
        self._record.event("finished", status="interrupted")
        self._record.close()

    def _prepare(self, root: Path, resume: Path | None, listener: Listener | None) -> Record:
        """Make all that the run begins with, and then its directory, or open that of a run that is resumed."""
        with _no_garbage():
            from framework.runtime.disk.run_directory import Record
            from framework.runtime.learn.interrupt import Interrupt
            from framework.runtime.learn.prepare import prepare

        self._interrupt = self._interrupt or Interrupt()
        record = None if resume is None else Record(resume, listener)
        try:
            callbacks = self._build_callbacks()
            self._lifecycle = Lifecycle(default_catalog().plugins.manager, self._report, callbacks)
            checkpoints = None if record is None else record.checkpoints
            self._prepared = prepare(self.pipeline, self._interrupt, self._rank, checkpoints)
        except BaseException as error:
            if record is not None:
                record.event("failed", reason=describe(error))
                self._finish(record, "failed")
            raise
        try:
            return record or Record.create(self.pipeline, root, listener)
        except BaseException:
            self._prepared.worker.close()
            raise

    def _build_callbacks(self) -> Iterator[tuple[str, object]]:
        context = CallbackContext(self.pipeline.directory)
        for callback in self.pipeline.callbacks:
            yield callback.use, build(callback, context)

    def _finish(self, record: Record, status: Status) -> None:
        """Record how the run has ended, with a page if one is wanted, and let go of its directory.

        A page that cannot be written changes nothing in how the run has ended.
        """
        if self.pipeline.run.report:
            try:
                from framework.report.run_report import write_report

                write_report([record.directory], record.directory / "report.html", status=status)
            except Exception as error:
                record.event("report_failed", reason=describe(error))
        record.event("finished", status=status)
        record.close()

    def _report(self, failure: HookFailure) -> None:
        fields = {failure.kind: failure.name, "hook": failure.hook, "reason": failure.traceback}
        self._record.event(f"{failure.kind}_dropped", **fields)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """For importing torch: it makes no garbage, and looking for some takes a sixth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Training(Iterator["Update"]):
    """A run that happens while it is iterated over. Made by `framework.train`.

    To leave it early, as by ``break``, saves a checkpoint and ends the run: at once where nobody holds it, else by
    `close`.
    """

    def __init__(self, session: Session | None):
        self._session = session
        self._updates = iter(()) if session is None else session.updates()

    @property
    def directory(self) -> Path:
        """The run directory. Raises `RunError` in processes of torchrun other than the first, which has the run."""
        if self._session is None:
            raise RunError("the run directory is that of the first process of torchrun: this one has none")
        return self._session.directory

    def __iter__(self) -> Training:
        return self

    def __next__(self) -> Update:
        return next(self._updates)

    def close(self) -> None:
        """Save a checkpoint and end the run, if it has not ended yet."""
        if self._session is None or not isinstance(self._updates, Generator):
            return
        begun = getgeneratorstate(self._updates) != GEN_CREATED
        self._updates.close()
        if not begun:
            self._session.close()


def train(pipeline: Pipeline, *, root: str | Path = "runs", resume: str | Path | None = None) -> Training:
    """Run a pipeline: ``for update in framework.train(pipeline)``. The run directory is its ``directory``.

    Of several processes that torchrun has started the first has the updates; for the others there are none, and the
    call returns when the run has ended.

    Args:
        pipeline: from `framework.load`, or `framework.load_run` to resume a run.
        root: the folder in which the run directory is made.
        resume: a run directory to resume, instead of a new one.
    """
    directory = None if resume is None else Path(resume)
    rank = place(pipeline)
    if rank is not None and rank.number:
        from framework.runtime.learn.follower import follow

        follow(rank)
        return Training(None)
    if rank is not None and rank.restarts and directory is None:
        directory = marked(Path(root))
    return Training(Session(pipeline, root=Path(root), resume=directory, rank=rank))

"""A run from outside: started or resumed, and iterated over. Importing this module does not import torch."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.catalog import default_catalog
from framework.plugins import HookFailure, Lifecycle, describe
from framework.runtime.interrupt import Interrupt
from framework.runtime.launch import Launcher

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline
    from framework.runtime.agent import Agent
    from framework.runtime.learner import Update
    from framework.runtime.record import Listener, Record


class Session:
    """One run. Iterate over `updates` to make it happen.

    Args:
        pipeline: what to run.
        root: the folder in which the run directory is made.
        resume: a run directory to go on with, instead of a new one.
        interrupt: when requested, the run saves a checkpoint and ends with `KeyboardInterrupt`.
        listener: hears of every event of the run, as it is recorded in ``events.jsonl``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        root: Path = Path("runs"),
        resume: Path | None = None,
        interrupt: Interrupt | None = None,
        listener: Listener | None = None,
    ):
        self.pipeline = pipeline
        self._interrupt = interrupt
        self._resumed = resume is not None
        # Idle threads of the learner would otherwise spin on the cores that samplers need. Read when torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # The helper that samplers come from imports torch at the same time as we do.
        self._launcher = Launcher() if pipeline.runtime.samplers else None
        try:
            self._record = self._open_record(root, resume, listener)
        except BaseException:
            self._close_launcher()
            raise

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self._record.directory

    def updates(self) -> Iterator[Update]:
        """Run; closing the iterator early saves a checkpoint and ends the run."""
        status = "failed"
        lifecycle = Lifecycle(default_catalog().plugins.manager, self._report)
        try:
            with _no_garbage():
                from framework.runtime.learner import Learner
            lifecycle.call("run_started", directory=self.directory, pipeline=self.pipeline.to_plain())
            learner = Learner(
                self.pipeline,
                self._record,
                lifecycle,
                self._launcher,
                resume=self._resumed,
                interrupt=self._interrupt,
            )
            if self._resumed:
                self._record.adopt(self.pipeline)
            yield from learner.run()
            status = "done"
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        except BaseException as error:
            self._record.event("failed", reason=describe(error))
            raise
        finally:
            self._close_launcher()
            lifecycle.call("run_finished", directory=self.directory, status=status)
            self._record.event("finished", status=status)
            self._record.close()

    def _open_record(self, root: Path, resume: Path | None, listener: Listener | None) -> Record:
        from framework.runtime.record import Record

        return Record.create(self.pipeline, root, listener) if resume is None else Record(resume, listener)

    def _report(self, failure: HookFailure) -> None:
        self._record.event("plugin_dropped", plugin=failure.plugin, hook=failure.hook, reason=failure.traceback)

    def _close_launcher(self) -> None:
        if self._launcher is not None:
            self._launcher.close()


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


def train(pipeline: Pipeline, *, root: str | Path = "runs", resume: str | Path | None = None) -> Iterator[Update]:
    """Run a pipeline: ``for update in framework.train(pipeline)``.

    Args:
        pipeline: from `framework.load`, or `framework.load_run` to go on with a run.
        root: the folder in which the run directory is made.
        resume: a run directory to go on with, instead of a new one.
    """
    session = Session(pipeline, root=Path(root), resume=None if resume is None else Path(resume))
    return session.updates()


def load_run(run: str | Path, overrides: Sequence[str] | Mapping[str, Any] = (), *, trust: bool = False) -> Pipeline:
    """The pipeline of a run directory.

    Args:
        run: a run directory.
        overrides: as in `framework.load`.
        trust: import the Python files that it names, even if the run was not made by this account on this machine.

    Raises `RunError` where such files are named and not trusted, or the directory is not one of a run.
    """
    from framework import pipeline
    from framework.runtime.record import read_manifest
    from framework.runtime.trust import check, texts

    run = Path(run)
    manifest = read_manifest(run)
    file = run / "pipeline.toml"
    if not trust:
        check(run, manifest, texts(pipeline.read(file, overrides).values))
    return pipeline.load(file, overrides, directory=Path(manifest["base_directory"]))


def load_agent(run: str | Path, checkpoint: str = "best", *, trust: bool = False) -> Agent:
    """The trained policy of a run: ``load_agent(run).act(observation)``.

    Args:
        run: a run directory.
        checkpoint: ``"best"`` by evaluation (the last where there was none), ``"last"``, or a checkpoint's name.
        trust: import the Python files that the run names, as for `load_run`.
    """
    from framework.pipeline.build import build_environment, build_policy
    from framework.runtime.agent import Agent, resolve_checkpoint
    from framework.runtime.checkpoint import load, restoring
    from framework.runtime.environments import close_environment, make_environment
    from framework.runtime.weights import unpack
    from framework.toolkit.spaces import flat_space

    run = Path(run)
    loaded = load_run(run, trust=trust)
    path = resolve_checkpoint(run, checkpoint)
    versions = load(path, "versions")
    environment = make_environment(build_environment(loaded))
    observation_space, action_space = environment.observation_space, environment.action_space
    close_environment(environment, "environment")
    policy = build_policy(loaded, flat_space(observation_space), action_space)
    with restoring(path):
        unpack(policy, versions[max(versions, key=int)]["weights"])
    return Agent(policy, observation_space, action_space)

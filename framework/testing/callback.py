"""Checks of callbacks: a short run as the kernel tells of it, with its record on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import framework
from framework.callbacks import CallbackContext
from framework.lifecycle import HookFailure, Lifecycle, StopRequest
from framework.pipeline import to_toml
from framework.testing.subject import Subject

#: What the run is of, for callbacks that write it down.
_PIPELINE = {"run": {"name": "checked", "seed": 0, "total_steps": 300}, "environment": {"use": "gymnasium"}}


class ToldRun:
    """A run directory, and a callback that is told what happens there."""

    def __init__(self, subject: Subject, directory: Path):
        self._subject, self.directory = subject, directory
        self.control = StopRequest()
        self._failures: list[HookFailure] = []
        (directory / "pipeline.toml").write_text(to_toml(_PIPELINE))
        (directory / "manifest.json").write_text(json.dumps({"framework": framework.__version__, "seed": 0}))
        (directory / "metrics.jsonl").touch()
        self.files = self._files()

    def build(self) -> Any:
        """The callback, as the run's start and each resumption build it."""
        return self._subject.build(CallbackContext(self._subject.directory or Path.cwd()))

    @contextmanager
    def going_on(self) -> Iterator[Lifecycle]:
        """A callback that hears of the run's start, and in the end of its interruption; what it raises is raised."""
        callbacks = [(self._subject.chosen.use, self.build())]
        lifecycle = Lifecycle(_no_plugins(), self._failures.append, callbacks)
        lifecycle.call("run_started", directory=self.directory, pipeline=deepcopy(_PIPELINE), control=self.control)
        self._raise()
        yield lifecycle
        lifecycle.call("run_finished", directory=self.directory, status="interrupted")
        self._raise()

    def play(self, lifecycle: Lifecycle, updates: range) -> None:
        """Updates with an evaluation, a video and a checkpoint each."""
        for number in updates:
            progress = {"update": number, "steps": 100 * number}
            metrics = progress | {"return": float(number), "time/seconds": 0.5 * number}
            evaluation = progress | {"evaluation/return": number + 0.5, "evaluation/episodes": 2}
            video = self.directory / "videos" / f"update-{number:08d}.mp4"
            video.parent.mkdir(exist_ok=True)
            video.write_bytes(_VIDEO)
            self._tell(lifecycle, "update_finished", metrics=metrics, control=self.control)
            self._tell(lifecycle, "evaluation_finished", evaluation=evaluation, agent=_Still(), control=self.control)
            lifecycle.call("video_saved", directory=self.directory, video=video, steps=progress["steps"])
            lifecycle.call("checkpoint_saved", directory=self.directory, checkpoint=self.directory / "checkpoints")
            self._raise()

    def written(self) -> list[str]:
        """The files that are new in the run directory."""
        return sorted(self._files() - self.files)

    def _tell(self, lifecycle: Lifecycle, hook: str, **arguments: Any) -> None:
        [line] = [argument for argument in arguments.values() if isinstance(argument, dict)]
        with (self.directory / "metrics.jsonl").open("a") as metrics:
            metrics.write(json.dumps(line) + "\n")
        before = dict(line)
        lifecycle.call(hook, directory=self.directory, **arguments)
        self._raise()
        assert line == before, f"{hook} changed what it was given: {before} became {line}"

    def _raise(self) -> None:
        if self._failures:
            raise AssertionError(f"{self._failures[0]}\n{self._failures[0].traceback}")

    def _files(self) -> set[str]:
        return {str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file()}


@contextmanager
def told_run(subject: Subject) -> Iterator[ToldRun]:
    """A run of its own, in a folder that goes with the context."""
    with TemporaryDirectory(prefix="framework-callback-") as folder:
        directory = Path(folder) / "checked"
        directory.mkdir()
        yield ToldRun(subject, directory)


class _Still:
    """Stands for the policy: it always takes action 0."""

    def reset(self, *, seed: int = 0, deterministic: bool = True) -> None:
        """There is nothing to forget."""

    def act(self, observation: Any, action_mask: Any = None) -> int:
        """Always the same."""
        return 0


def check_building_begins_nothing(subject: Subject) -> None:
    """Building it writes nothing into the run directory, so that checking a pipeline leaves no trace."""
    with told_run(subject) as run:
        run.build()
        assert not (files := run.written()), f"building it wrote {', '.join(files)}"


def check_follows_a_run(subject: Subject) -> None:
    """It hears of a whole run and of its end, and raises nothing; what it is given stays as it is."""
    with told_run(subject) as run, run.going_on() as lifecycle:
        run.play(lifecycle, range(1, 4))


def check_goes_on_with_a_resumed_run(subject: Subject) -> None:
    """Built anew where the run is resumed, it takes up what it had begun."""
    with told_run(subject) as run:
        for updates in (range(1, 3), range(3, 5)):
            with run.going_on() as lifecycle:
                run.play(lifecycle, updates)


def check_runs_may_end_at_once(subject: Subject) -> None:
    """A run that is interrupted before its first update ends well, too."""
    with told_run(subject) as run, run.going_on():
        pass


def check_stopping_has_a_reason(subject: Subject) -> None:
    """Where it stops a run it says why."""
    with told_run(subject) as run, run.going_on() as lifecycle:
        run.play(lifecycle, range(1, 4))
        assert run.control.reason != "no reason was given", "it stops the run with an empty reason"


# --- helpers -----------------------------------------------------------------------------------------------------

#: An empty MP4 file: a box that names the format, and no picture.
_VIDEO = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00mp41"


def _no_plugins() -> Any:
    import pluggy

    from framework import hookspecs

    manager = pluggy.PluginManager("framework")
    manager.add_hookspecs(hookspecs)
    return manager


CHECKS = (
    check_building_begins_nothing,
    check_follows_a_run,
    check_goes_on_with_a_resumed_run,
    check_runs_may_end_at_once,
    check_stopping_has_a_reason,
)

"""Callbacks that have a run logged by a process of its own to an experiment tracker, such as Weights & Biases.

The learner never waits for the tracker: the process (`framework.toolkit.tracking`) reads what it logs from the run's
record on disk, as fast as the tracker takes it. Videos, checkpoints and the run's end are told to it over its standard
input, whose end says that the learner has died.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from attrs import asdict, frozen

from framework.callbacks import CallbackContext
from framework.errors import PluginError, RunError
from framework.schema import option

_PROGRAM = "framework.toolkit.tracking"
_LINES = 5  # of the log, in errors


@frozen
class TrackerConfig:
    """Options of every tracker."""

    name: str | None = option(None, help="Name of the run there. Default: that of the run directory.")
    videos: bool = option(True, help="Log the videos of evaluations (`evaluation.video`).")
    checkpoints: bool = option(False, help="Log checkpoints, as artifacts.")
    finish_seconds: float = option(
        60.0, help="Seconds that the tracker has at the run's end for what is left to log; then it is killed.", gt=0
    )


class Tracker:
    """A callback that logs a run to an experiment tracker.

    A subclass says which: the package that it needs, the extra that installs it, and ``"module:function"``, which opens
    the run there: ``open_run(config, run)``, from this config and a `framework.toolkit.tracking.TrackedRun`, gives a
    `framework.toolkit.tracking.TrackerRun`. Raises `PluginError` where the package is missing.
    """

    package: ClassVar[str]
    extra: ClassVar[str]
    open_run: ClassVar[str]

    def __init__(self, config: TrackerConfig, context: CallbackContext):
        if find_spec(self.package) is None:
            raise PluginError(f'the package {self.package} is missing: pip install "framework-rl[{self.extra}]"')
        self._config, self._source = config, context.source
        self._reads_record = False

    def run_started(self, directory: Path, pipeline: dict[str, Any]) -> None:
        """Start the process."""
        self._log = directory / f"{self.package}-run.log"
        command = [sys.executable, "-P", "-m", _PROGRAM]
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the learner alone, which then tells how the run ends.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        assert self._process.stdin is not None
        self._input = self._process.stdin
        config = type(self._config)
        self._send(
            path=sys.path,
            tracker=self.package,
            open_run=self.open_run,
            config=f"{config.__module__}:{config.__qualname__}",
            options=asdict(self._config),
            directory=str(directory),
            source=str(self._source.absolute()),
            pipeline=pipeline,
        )
        os.set_blocking(self._input.fileno(), False)  # from here on the learner waits for nothing

    def update_finished(self) -> None:
        """Have the record read from now on: before, what a resumed run does anew was still in it."""
        if not self._reads_record:
            self._send(record=True)
            self._reads_record = True
        if self._process.poll() is not None:
            raise self._failure()

    def video_saved(self, video: Path, steps: int) -> None:
        """Have a video logged."""
        if self._config.videos:
            self._send(video=str(video), steps=steps)

    def checkpoint_saved(self, checkpoint: Path) -> None:
        """Have a checkpoint logged."""
        if self._config.checkpoints:
            self._send(checkpoint=str(checkpoint))

    def run_finished(self, status: str) -> None:
        """Wait until all is logged, as long as `TrackerConfig.finish_seconds`."""
        try:
            self._send(status=status)
            if self._process.wait(self._config.finish_seconds):
                raise self._failure()
        except subprocess.TimeoutExpired:
            raise RunError(
                f"{self.package} has not finished in {self._config.finish_seconds:g} s and was killed, see {self._log}:"
                " metrics that it does not have yet are logged when the run is resumed"
            ) from None
        finally:
            self._end()

    def _send(self, **message: Any) -> None:
        try:
            self._input.write(json.dumps(message, default=str).encode() + b"\n")
            self._input.flush()
        except BlockingIOError:
            self._end()
            raise RunError(f"{self.package} hangs: its process does not take any more messages") from None
        except OSError:  # it has ended
            self._process.wait()
            raise self._failure() from None

    def _failure(self) -> RunError:
        """That the process has ended when it should not have."""
        code = self._process.returncode
        self._end()
        said = self._log.read_text(errors="replace").splitlines()[-_LINES:]
        return RunError(f"the process of {self.package} ended with {code}, see {self._log}:\n" + "\n".join(said))

    def _end(self) -> None:
        """End the process and those that it has started, however they are."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):  # of what it did not take
            self._input.close()

"""Processes that go on in the background when who started them has ended, as drivers of launchers do.

Such a process is ``python -m MODULE FOLDER``. What is wanted of it stands in ``wanted.json`` of its folder, which both
read, and what it has to tell in ``status.json``; what it prints is in ``log``. It holds a lock as long as it lives.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from framework.errors import RunError

#: Seconds that a process has to be ready, and to end when it is told to.
READY, ENDED = 60.0, 30.0
_LOOK = 0.05
_LINES = 20  # of the log, in errors
_PR_SET_PDEATHSIG = 1


class Background:
    """The process of a folder, as others see it."""

    def __init__(self, folder: Path):
        self._folder = folder

    @property
    def running(self) -> bool:
        """Whether it is there."""
        try:
            with (self._folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def start(self, module: str, wanted: Any) -> None:
        """Start it, and wait until it is ready. Raises `RunError`, with the end of its log, where it ends first."""
        (self._folder / "status.json").unlink(missing_ok=True)
        self.want(wanted)
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY
        while not (self._folder / "status.json").exists():
            if process.poll() is not None:
                raise RunError(f"{module} ended with {process.returncode}:\n{self._log()}")
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise RunError(f"{module} was not ready after {READY:.0f} s:\n{self._log()}")
            time.sleep(_LOOK)

    def want(self, wanted: Any) -> None:
        """Tell what is wanted from now on: anything that is JSON."""
        _write(self._folder / "wanted.json", wanted)

    def told(self) -> Any:
        """What it has told last. Raises `RunError`, with the end of its log, where it is not there any more."""
        if not self.running:
            raise RunError(f"the process of {self._folder} has ended:\n{self._log()}")
        return json.loads((self._folder / "status.json").read_text())["told"]

    def stop(self) -> None:
        """End it, if it is there, and wait for it; a process that does not end in time is killed."""
        with suppress(FileNotFoundError, ProcessLookupError):
            process = json.loads((self._folder / "status.json").read_text())["process"]
            deadline = time.monotonic() + ENDED
            if self.running:
                os.kill(process, signal.SIGTERM)
            while self.running:
                if time.monotonic() > deadline:
                    os.killpg(process, signal.SIGKILL)
                time.sleep(_LOOK)

    def _log(self) -> str:
        with suppress(FileNotFoundError):
            return "\n".join((self._folder / "log").read_text(errors="replace").splitlines()[-_LINES:])
        return ""


class Inside:
    """The same, as the process itself sees it."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.ending = False  #: whether it is to end

    @property
    def wanted(self) -> Any:
        """What is wanted now."""
        return json.loads((self._folder / "wanted.json").read_text())

    def tell(self, told: Any) -> None:
        """Tell how things are; the first time says that it is ready."""
        _write(self._folder / "status.json", {"process": os.getpid(), "told": told})


@contextmanager
def inside(folder: Path) -> Iterator[Inside]:
    """Be the process of a folder, until the context ends; SIGTERM makes it `Inside.ending`.

    Raises `RunError` where there is one already.
    """
    process = Inside(folder)
    with _locked(folder):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(process, "ending", True))
        yield process


def end_with_parent() -> None:
    """In a child that is about to be executed: get SIGTERM when the thread that started it is gone, however it ended.

    For ``subprocess.Popen(preexec_fn=end_with_parent)``; where the system is not Linux it does nothing.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


#: Loaded beforehand: between fork and exec nothing may be.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@contextmanager
def _locked(folder: Path) -> Iterator[IO[str]]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder} has a process already") from None
        yield lock


def _write(path: Path, value: Any) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(value))
    new.replace(path)

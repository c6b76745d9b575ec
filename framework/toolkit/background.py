"""Processes that go on in the background when who started them has ended, as drivers of launchers do.

Such a process is ``python -m MODULE FOLDER``. What is wanted of it stands in ``wanted.json`` of its folder, which both
read, and what it has to tell in ``status.json``; what it prints is in ``log``. It holds a lock as long as it lives, on
a file that says which process it is, of which machine.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
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
_BRIEFLY = 2.0  # longer than anyone who only looks at a lock has it
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
                return not _lock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not see each other
        except FileNotFoundError:
            return False

    def start(self, module: str, wanted: Any) -> None:
        """Start it, and wait until it is ready.

        Raises `RunError`, with the end of its log, where it ends first, and where there is one already, which stays as
        it is.
        """
        with self._turn():
            if self.running:
                raise RunError(f"{self._folder} has a process already")
            self._start(module, wanted)

    def keep(self, module: str, wanted: Any) -> None:
        """Tell it what is wanted from now on, and start it where it has ended, as with the machine that it was on."""
        with self._turn():
            if self.running:
                self.want(wanted)
            else:
                self._start(module, wanted)

    def want(self, wanted: Any) -> None:
        """Tell what is wanted from now on: anything that is JSON."""
        _write(self._folder / "wanted.json", wanted)

    def told(self) -> Any:
        """What it has told last.

        Raises `RunError` where it is not there any more, with the end of its log, and where it is not ready yet.
        """
        if not self.running:
            raise RunError(f"the process of {self._folder} has ended:\n{self._log()}")
        try:
            return json.loads((self._folder / "status.json").read_text())["told"]
        except FileNotFoundError:
            raise RunError(f"the process of {self._folder} is not ready yet: ask again in some seconds") from None

    def stop(self) -> None:
        """End it, if it is there, and wait for it; a process that does not end in time is killed.

        Raises `RunError` where it is another machine's, or another account's, or cannot even be killed.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)
            deadline = time.monotonic() + ENDED
            while self.running and time.monotonic() < deadline:
                time.sleep(_LOOK)
        if self.running:
            raise RunError(f"the process of {self._folder} cannot be ended")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One who starts it waits for another who does."""
        with (self._folder / "starting").open("a") as turn:
            _lock(turn, fcntl.LOCK_EX)
            yield

    def _start(self, module: str, wanted: Any) -> None:
        (self._folder / "status.json").unlink(missing_ok=True)
        self.want(wanted)
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(self._folder.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(module, process)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        # Whoever started it may live longer, and is its parent: somebody has to take note of its end.
        threading.Thread(target=process.wait, name="background", daemon=True).start()

    def _wait_until_ready(self, module: str, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY
        while not (self._folder / "status.json").exists():
            if process.poll() is not None:
                raise RunError(f"{module} ended with {process.returncode}:\n{self._log()}")
            if time.monotonic() > deadline:
                raise RunError(f"{module} was not ready after {READY:.0f} s:\n{self._log()}")
            time.sleep(_LOOK)

    def _send(self, number: signal.Signals) -> None:
        """Send it a signal; with SIGKILL to those of its group too."""
        if not self.running:
            return
        while not (owner := (self._folder / "lock").read_text()) and self.running:
            time.sleep(_LOOK)  # it has the lock, and is about to say so
        machine, _, process = owner.partition(" ")
        if machine != socket.gethostname():
            raise RunError(f"the process of {self._folder} is one of {machine}: end it there")
        send = os.killpg if number == signal.SIGKILL else os.kill
        try:
            send(int(process), number)
        except ProcessLookupError:
            pass  # it has just ended
        except PermissionError:
            raise RunError(f"the process of {self._folder} ({process}) is another account's: end it as that") from None

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
        _write(self._folder / "status.json", {"told": told})


@contextmanager
def inside(folder: Path) -> Iterator[Inside]:
    """Be the process of a folder, until the context ends; SIGTERM makes it `Inside.ending`.

    Raises `RunError` where there is one already.
    """
    process = Inside(folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(process, "ending", True))
    with _locked(folder):
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
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        deadline = time.monotonic() + _BRIEFLY
        while not _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if time.monotonic() > deadline:
                raise RunError(f"{folder} has a process already")
            time.sleep(_LOOK)
        lock.truncate(0)
        lock.write(f"{socket.gethostname()} {os.getpid()}")
        lock.flush()
        yield


def _lock(file: IO[str], operation: int) -> bool:
    """Lock a file, until it is closed; False where somebody else has. Raises `RunError` where there are no locks."""
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        raise RunError(f"{file.name}: cannot be locked: {error.strerror}") from None
    return True


def _write(path: Path, value: Any) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(value))
    new.replace(path)

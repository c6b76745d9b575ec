"""Local samplers: started, watched and ended through a helper process that does nothing else.

The helper (`framework.runtime.zygote`) imports what samplers need once, before it has threads or sockets, and forks
itself for each of them: a sampler starts in milliseconds, and all share the memory of the imports. This module does
not import torch, so that the helper and the learner can load it at the same time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from framework.errors import RunError

#: Exit codes of a sampler.
DONE, ENVIRONMENT_FAILED, TRY_AGAIN, NOT_LET_IN = 0, 70, 75, 77

#: Bytes that the path of a socket file may have.
_SOCKET_PATH_LIMIT = 107
_PREFIX = "framework-link-"

#: One thread each: thread pools cannot be forked, and a sampler has one core.
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@frozen
class Exit:
    """A sampler's process has ended."""

    sampler: str
    incarnation: int
    process: int
    status: int  #: exit code, or minus the number of the signal that ended it

    @property
    def reason(self) -> str:
        """In words."""
        return _in_words(self.status)


class Launcher:
    """Starts local samplers. They all end with `close`, and also when this process dies in whatever way."""

    def __init__(self) -> None:
        self._folder, self._lock = _socket_folder()
        self._process = subprocess.Popen(
            # -P: else a folder named ``framework`` in the working directory would stand for this package.
            [sys.executable, "-P", "-m", "framework.runtime.zygote", self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _SINGLE_THREADED,
            start_new_session=True,  # Ctrl-C is for the learner, which then ends the samplers in good order
            pass_fds=(self._lock.fileno(),),  # the helper ends samplers when this process is gone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._reports = self._process.stdin, self._process.stdout
        os.set_blocking(self._reports.fileno(), False)
        self._partial = b""

    @property
    def endpoint(self) -> str:
        """Where the learner of these samplers listens."""
        return f"ipc://{self._folder}/link"

    def fileno(self) -> int:
        """Readable when `exits` has something to give."""
        return self._reports.fileno()

    def start(self, sampler: str, incarnation: int, run: str, endpoint: str) -> None:
        """Start one sampler. Raises `ChildProcessError` when the helper has ended."""
        order = {"sampler": sampler, "incarnation": incarnation, "run": run, "endpoint": endpoint}
        try:
            self._commands.write(json.dumps(order).encode() + b"\n")
            self._commands.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def exits(self) -> list[Exit]:
        """Samplers that have ended since the last call. Raises `ChildProcessError` when the helper itself has."""
        data = self._reports.read()
        if data == b"":
            raise self._ended()
        *lines, self._partial = (self._partial + (data or b"")).split(b"\n")
        return [Exit(**_checked(json.loads(line))) for line in lines]

    def close(self) -> None:
        """End all samplers, at once if they do not end by themselves, and wait for it."""
        if self._reports.closed:
            return
        with suppress(BrokenPipeError):
            self._commands.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        if self._process.returncode != 0:
            # It hangs, or was killed and left its samplers behind: they are in its process group.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reports.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _ended(self) -> ChildProcessError:
        status = _in_words(self._process.wait())
        return ChildProcessError(f"the helper process that starts samplers has ended ({status}): resume the run")


def _in_words(status: int) -> str:
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name


def _socket_folder() -> tuple[str, IO[str]]:
    """A new private folder for a socket, and its lock, which is held as long as anybody uses the folder.

    Not in the run directory, as the paths of socket files must be short. Raises `RunError` where they would not be.
    """
    try:
        _remove_stale_folders(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(prefix=_PREFIX)
    except OSError as error:
        raise RunError(f"no folder for the samplers' socket can be made: {error}; {_ADVICE}") from None
    length = len(os.fsencode(f"{folder}/link"))
    if length > _SOCKET_PATH_LIMIT:
        os.rmdir(folder)
        raise RunError(
            f"the samplers' socket {folder}/link has a path of {length} bytes, and {_SOCKET_PATH_LIMIT} are possible; "
            f"{_ADVICE}"
        )
    lock = open(f"{folder}/lock", "w")  # noqa: SIM115  # held until the launcher closes it
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not os.path.exists(lock.name):  # another launcher took it for a stale one before it was locked
        lock.close()
        return _socket_folder()
    return folder, lock


_ADVICE = "set TMPDIR to a short, local, writable path"


def _remove_stale_folders(place: Path) -> None:
    """Remove the folders of launchers whose process and helper were both killed."""
    for path in place.glob(f"{_PREFIX}*/lock"):
        with suppress(OSError), path.open() as lock:
            if path.parent.stat().st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)


def _checked(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in ("sampler", "incarnation", "process", "status")}

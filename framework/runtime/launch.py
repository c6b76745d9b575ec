"""Local samplers: started, watched and ended through a helper process that does nothing else.

The helper (`framework.runtime.zygote`) imports what samplers need once, before it has threads or sockets, and forks
itself for each of them: a sampler starts in milliseconds, and all share the memory of the imports. This module does
not import torch, so that the helper and the learner can load it at the same time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any

from attrs import frozen

#: Exit codes of a sampler.
DONE, ENVIRONMENT_FAILED, TRY_AGAIN, NOT_LET_IN, WRONG_VERSION = 0, 70, 75, 77, 78

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
        return f"exit code {self.status}" if self.status >= 0 else signal.Signals(-self.status).name


class Launcher:
    """Starts local samplers. They all end with `close`, and also when this process dies in whatever way."""

    def __init__(self) -> None:
        # Socket paths may have 107 bytes at most, so they lie here and not in the run directory.
        self._folder = tempfile.mkdtemp(prefix="framework-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "framework.runtime.zygote", self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _SINGLE_THREADED,
            start_new_session=True,  # Ctrl-C is for the learner, which then ends the samplers in good order
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
        """Start one sampler."""
        order = {"sampler": sampler, "incarnation": incarnation, "run": run, "endpoint": endpoint}
        self._commands.write(json.dumps(order).encode() + b"\n")
        self._commands.flush()

    def exits(self) -> list[Exit]:
        """Samplers that have ended since the last call. Raises `ChildProcessError` when the helper itself has."""
        data = self._reports.read()
        if data == b"":
            raise ChildProcessError(f"the process that starts samplers has ended with {self._process.wait()}")
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


def _checked(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in ("sampler", "incarnation", "process", "status")}

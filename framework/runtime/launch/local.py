"""The launcher of samplers on this machine: a helper process that does nothing else.

The helper (`framework.runtime.launch.zygote`) imports what samplers need once, before it has threads or sockets, and
forks itself for each of them: a sampler starts in milliseconds, and all share the memory of the imports. This module
does not import torch, so that the helper and the learner can load it at the same time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

from framework.interfaces import SamplerExit
from framework.runtime.launch.exit_codes import in_words
from framework.runtime.link.endpoint import SocketFolder

#: One thread each: thread pools cannot be forked, and a sampler has one core.
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class LocalLauncher:
    """Starts local samplers. They all end with `close`, and also when this process dies in whatever way.

    Args:
        folder: of the socket that they connect to; the helper removes it where this process is killed.
    """

    def __init__(self, folder: SocketFolder) -> None:
        self._process = subprocess.Popen(
            # -P: else a folder named ``framework`` in the working directory would stand for this package.
            [sys.executable, "-P", "-m", "framework.runtime.launch.zygote", folder.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _SINGLE_THREADED,
            start_new_session=True,  # Ctrl-C is for the learner, which then ends the samplers in good order
            pass_fds=(folder.lock,),  # the helper ends samplers when this process is gone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._reports = self._process.stdin, self._process.stdout
        os.set_blocking(self._reports.fileno(), False)
        self._partial = b""

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        """See `framework.interfaces.Launcher`."""
        order = {"sampler": sampler, "incarnation": incarnation, "run": run, "endpoint": endpoint}
        try:
            self._commands.write(json.dumps(order).encode() + b"\n")
            self._commands.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def exits(self, timeout: float) -> list[SamplerExit]:
        """See `framework.interfaces.Launcher`."""
        if not select.select([self._reports], [], [], timeout)[0]:
            return []
        data = self._reports.read()
        if data == b"":
            raise self._ended()
        *lines, self._partial = (self._partial + (data or b"")).split(b"\n")
        return [SamplerExit(**_checked(json.loads(line))) for line in lines]

    def close(self) -> None:
        """See `framework.interfaces.Launcher`."""
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

    def _ended(self) -> ChildProcessError:
        status = in_words(self._process.wait())
        return ChildProcessError(f"the helper process that starts samplers has ended ({status}): resume the run")


def _checked(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in ("sampler", "incarnation", "process", "status")}

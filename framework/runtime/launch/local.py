"""Starts the samplers of this machine: a helper process that does nothing else.

The helper (`framework.runtime.launch.zygote`) imports what samplers need once, before it has threads or sockets, and
forks itself for each of them: a sampler starts in milliseconds, and all share the memory of the imports. Where the
helper dies its samplers are ended too, and another is started. This module does not import torch, so that the helper
and the learner can load it at the same time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from attrs import evolve

from framework.runtime.launch.starter import SamplerExit
from framework.runtime.link.endpoint import SocketFolder

#: One thread each: thread pools cannot be forked, and a sampler has one core.
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class LocalStarter:
    """Starts local samplers. They all end with `close`, and also when this process dies in whatever way.

    Args:
        folder: of the socket that they connect to; the helper removes it where this process is killed.
        directory: where samplers look for Python files that the pipeline names; by default where the learner says.
    """

    def __init__(self, folder: SocketFolder, directory: str | None = None) -> None:
        self._folder = folder
        self._directory = directory
        self._running: dict[tuple[str, int], SamplerExit] = {}  # how each would end if the helper were killed now
        self._closing = False
        self._partial = b""  # of a report
        self._replacing = threading.Lock()  # closing and starting another helper exclude one another
        self._start_helper()

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        """See `Starter`."""
        self._running[sampler, incarnation] = SamplerExit(sampler, incarnation, 0, -signal.SIGKILL)
        order = {
            "endpoint": endpoint,
            "run": run,
            "name": sampler,
            "incarnation": incarnation,
            "directory": self._directory,
        }
        with suppress(BrokenPipeError):  # then the helper is dead, and `exits` says that this sampler is
            self._commands.write(json.dumps(order).encode() + b"\n")
            self._commands.flush()

    def exits(self, timeout: float) -> list[SamplerExit]:
        """See `Starter`."""
        reports = select.poll()  # which, unlike select, takes descriptors beyond 1024: strangers may have those below
        reports.register(self._reports, select.POLLIN)
        if not reports.poll(1000 * timeout):
            return []
        data = self._reports.read()
        if data == b"":
            return self._replace_helper()
        *lines, self._partial = (self._partial + (data or b"")).split(b"\n")
        exits = []
        for report in map(json.loads, lines):
            who = report["sampler"], report["incarnation"]
            if "status" in report:
                del self._running[who]
                exits.append(SamplerExit(*who, report["process"], report["status"]))
            else:
                self._running[who] = evolve(self._running[who], process=report["process"])
        return exits

    def close(self) -> None:
        """See `Starter`."""
        with self._replacing:
            self._closing = True
        if not self._reports.closed:
            self._end_helper()

    def _start_helper(self) -> None:
        self._process = subprocess.Popen(
            # -P: else a folder named ``framework`` in the working directory would stand for this package.
            [sys.executable, "-P", "-m", "framework.runtime.launch.zygote", self._folder.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _SINGLE_THREADED,
            start_new_session=True,  # Ctrl-C is for the learner, which then ends the samplers in good order
            pass_fds=(self._folder.lock,),  # the helper ends samplers when this process is gone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._reports = self._process.stdin, self._process.stdout
        os.set_blocking(self._reports.fileno(), False)

    def _replace_helper(self) -> list[SamplerExit]:
        """Start another helper in the place of one that has died, whose samplers are lost."""
        with self._replacing:
            if self._closing:
                raise ChildProcessError("the starter is closed")
            self._end_helper()
            status = self._process.returncode
            lost = [
                evolve(sampler_exit, status=status if status > 0 else -signal.SIGKILL)
                for sampler_exit in self._running.values()
            ]
            self._running.clear()
            self._partial = b""
            self._start_helper()
        return lost

    def _end_helper(self) -> None:
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

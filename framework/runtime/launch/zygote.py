"""The process that local samplers are forked from: ``python -m framework.runtime.launch.zygote``.

It has one thread and no sockets, so a fork of it is clean. It reads orders (lines of JSON) from its standard input
and reports on its standard output which samplers have started and ended. When its input ends, because the learner
closed it or died, it ends every sampler, then itself.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import sys
import threading
import traceback
from ctypes import c_double
from importlib import import_module
from mmap import PAGESIZE, mmap
from time import monotonic
from typing import Any, NamedTuple

GRACE = 1.5  #: seconds that samplers have to close their environments
_LOOK = 1.0  # seconds after which it is looked again whether one hangs


class _Child(NamedTuple):
    """A sampler that was forked."""

    order: dict[str, Any]
    deadline: c_double  #: when it is taken to hang, by the monotonic clock; 0 for never


def main() -> None:
    """Serve until standard input ends."""
    reports = os.dup(1)
    os.dup2(2, 1)  # what environments print belongs on the terminal
    gc.disable()  # importing makes no garbage, and looking for some takes a quarter of the time
    import_module("framework.runtime.launch.sampler_process")  # all that a sampler needs, torch included: loaded once
    import_module("framework.runtime.data.fingerprint").versions()  # of the code that was loaded now, not later
    threads = _threads()
    if threads != 1:
        raise RuntimeError(f"{threads} threads after importing: a fork would lose all but one of them")
    gc.freeze()  # the collector would otherwise touch, and so copy, every page of the imports
    gc.enable()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, _Child] = {}
    pending = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [], _LOOK if children else None)
        _end_those_that_hang(children)
        if woken in readable:
            os.read(woken, 4096)
            for process, status in _ended():
                _report(reports, children.pop(process).order, process=process, status=status)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                deadline = c_double.from_buffer(mmap(-1, PAGESIZE))  # memory that a fork shares
                process = _fork(order, deadline, (reports, woken, wake))
                children[process] = _Child(order, deadline)
                _report(reports, order, process=process)
    _end(set(children))
    shutil.rmtree(sys.argv[1], ignore_errors=True)  # the socket's folder; a learner that was killed leaves it
    os._exit(0)  # an interpreter that has torch takes long to end


def _end_those_that_hang(children: dict[int, _Child]) -> None:
    """End the samplers whose deadline has passed: their own watchdogs, which would have, were stopped with them."""
    for process, child in children.items():
        if 0.0 < child.deadline.value < monotonic():
            print(f"{child.order['name']} has hung: it is ended", file=sys.stderr, flush=True)
            os.kill(process, signal.SIGKILL)


def _report(reports: int, order: dict[str, Any], **fields: int) -> None:
    report = {"sampler": order["name"], "incarnation": order["incarnation"], **fields}
    os.write(reports, json.dumps(report).encode() + b"\n")


def _threads() -> int:
    """Threads of this process, those of libraries too where the system tells."""
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:
        return threading.active_count()


def _fork(order: dict[str, Any], deadline: c_double, inherited: tuple[int, ...]) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in inherited:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        from framework.runtime.launch.sampler_process import run_sampler

        code = run_sampler(**order, deadline=deadline)
    except BaseException:
        print(f"{order['name']}:", file=sys.stderr)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended() -> list[tuple[int, int]]:
    ended: list[tuple[int, int]] = []
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if process == 0:
            return ended
        ended.append((process, os.waitstatus_to_exitcode(status)))


def _end(children: set[int]) -> None:
    """Ask the samplers to end, and end those that do not."""
    _signal(children, signal.SIGTERM)
    deadline = monotonic() + GRACE
    while children and monotonic() < deadline:
        children -= {process for process, _ in _ended()}
        select.select([], [], [], 0.01)
    _signal(children, signal.SIGKILL)
    while children:
        children -= {os.wait()[0]}


def _signal(children: set[int], number: int) -> None:
    for process in children:
        os.kill(process, number)


if __name__ == "__main__":
    main()

"""Processes of samplers and of the helper that starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from framework.runtime.launch.local import LocalStarter
from framework.runtime.launch.starter import SamplerExit


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The result of ``condition`` once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)
    return result


def alive(process: psutil.Process) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def helper_of(parent: int = os.getpid()) -> psutil.Process:
    """The helper process that ``parent`` has started last."""
    return max(psutil.Process(parent).children(), key=lambda process: (process.create_time(), process.pid))


def folder_of(helper: psutil.Process) -> Path:
    """Where the learner's socket of a helper would lie: its last argument, once it has any."""
    return Path(wait_for(helper.cmdline)[-1])


def samplers_of(helper: psutil.Process) -> set[psutil.Process]:
    """The samplers of a helper that have sockets, and so threads: what it imports may start programs, too."""
    samplers = set()
    for child in helper.children():
        with suppress(psutil.NoSuchProcess):
            if child.num_threads() > 1:
                samplers.add(child)
    return samplers


def start(starter: LocalStarter, helper: psutil.Process, name: str, incarnation: int = 0) -> psutil.Process:
    """A sampler that waits for a learner which never answers, deep enough in it to have its signal handlers."""
    before = samplers_of(helper)
    starter.start("ipc:///nobody/listens", "run", name, incarnation)
    (process,) = wait_for(lambda: samplers_of(helper) - before)
    return process


def ended(starter: LocalStarter, count: int = 1) -> list[SamplerExit]:
    """The next ends of samplers, at least ``count``."""
    exits: list[SamplerExit] = []
    wait_for(lambda: exits.extend(starter.exits(0.1)) or len(exits) >= count)
    return exits

import os
import sys
import threading
from pathlib import Path

import psutil
import pytest
from processes import ended, helper_of, start

from framework.runtime.launch import zygote
from framework.runtime.launch.local import LocalStarter
from framework.runtime.link.endpoint import SocketFolder


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_helper_is_clean_to_fork() -> None:
    """The helper has one thread and no socket, before and after it forked; its pipes are closed in samplers."""

    def descriptors(process: psutil.Process) -> list[str]:
        folder = Path(f"/proc/{process.pid}/fd")
        return [os.readlink(link) for link in folder.iterdir()]

    folder = SocketFolder()
    starter = LocalStarter(folder)
    helper = helper_of()
    sampler = start(starter, helper, "clean")
    assert helper.num_threads() == 1
    assert not any(target.startswith("socket:") for target in descriptors(helper))
    orders = os.readlink(f"/proc/{helper.pid}/fd/0")
    pipes = {target for target in descriptors(helper) if target.startswith("pipe:")}
    inherited = {os.readlink(f"/proc/{helper.pid}/fd/{number}") for number in (1, 2)}  # the terminal's
    assert orders in pipes
    assert not (pipes - inherited) & set(descriptors(sampler))
    assert os.readlink(f"/proc/{sampler.pid}/fd/0") == os.devnull
    sampler.kill()
    ended(starter)
    starter.close()
    folder.close()


def test_threads_are_counted_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``/proc`` is not mounted the helper counts the threads that Python knows of."""

    def missing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", missing)
    assert zygote._threads() == threading.active_count()

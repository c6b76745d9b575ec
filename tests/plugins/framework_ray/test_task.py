"""The process of a host, under a worker of Ray: what it is given, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from processes import alive, wait_for

from framework_ray import task

#: A host that has written its process id, and says how it ends.
HOST = """
import os, signal, sys, time
def end(*_):
    open(sys.argv[2], "w").write("in good order")
    sys.exit(75)
if sys.argv[1] == "good":
    signal.signal(signal.SIGTERM, end)
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[2], "w").write(str(os.getpid()))
time.sleep(60)
"""


def host(manners: str, file: Path) -> list[str]:
    return [sys.executable, "-c", HOST, manners, str(file)]


def process_in(file: Path) -> psutil.Process:
    """The process that has written its id."""
    wait_for(lambda: file.exists() and file.read_text())
    return psutil.Process(int(file.read_text()))


def test_a_host_gets_the_token_and_tells_its_exit_code(tmp_path: Path) -> None:
    """Over standard input, which then ends; its command has no other way to it."""
    program = f"import sys; open({str(tmp_path / 'given')!r}, 'w').write(sys.stdin.read()); sys.exit(75)"
    place, status = task.attend([sys.executable, "-c", program], "fw1.secret")
    assert place == os.uname().nodename
    assert status == 75
    assert (tmp_path / "given").read_text() == "fw1.secret"


def test_a_host_need_not_read_the_token() -> None:
    """One that ends before it does is no error of the task's."""
    assert list(task.attend([sys.executable, "-c", "import os; os.close(0)"], "x" * 2**20))[1] == 0


def test_signals_are_told_too() -> None:
    """As minus their numbers."""
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert list(task.attend([sys.executable, "-c", program], ""))[1] == -signal.SIGKILL


def test_a_command_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    """As shells say it: another machine may have it."""
    assert list(task.attend(["no-such-framework"], ""))[1] == task.NOT_FOUND
    assert "no-such-framework cannot be started: " in capfd.readouterr().err


def test_programs_beside_python_come_first() -> None:
    """Before those on the path, if there is any."""
    beside = os.path.dirname(sys.executable)
    assert task.environment({"PATH": "/usr/bin", "A": "b"}) == {"PATH": f"{beside}:/usr/bin", "A": "b"}
    assert task.environment({}) == {"PATH": beside}


@pytest.mark.parametrize(("manners", "interrupts", "left"), [("good", 1, "in good order"), ("deaf", 3, None)])
def test_an_interrupted_task_ends_its_process_first(
    manners: str, interrupts: int, left: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In good order where it does that, and killed where it does not; further interrupts change nothing."""
    monkeypatch.setattr(task, "_GRACE", 0.5)
    file = tmp_path / "host"
    processes = []

    def interrupt() -> None:
        processes.append(process_in(file))
        for _ in range(interrupts):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.02)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(task.attend(host(manners, file), ""))
    thread.join()
    assert not alive(processes[0])
    assert left is None or file.read_text() == left


def test_a_host_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """At once, and in good order."""
    file = tmp_path / "host"
    program = "import sys; from framework_ray.task import attend; list(attend(sys.argv[1:], ''))"
    worker = subprocess.Popen([sys.executable, "-c", program, *host("good", file)])
    process = process_in(file)
    worker.kill()
    worker.wait()
    wait_for(lambda: not alive(process), 1.0)
    assert file.read_text() == "in good order"

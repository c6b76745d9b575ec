import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from framework.errors import RunError
from framework.runtime import launch, zygote
from framework.runtime.launch import DONE, Exit, Launcher


def wait_for(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What ``what`` gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, "in vain"
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


def start(launcher: Launcher, helper: psutil.Process, name: str, incarnation: int = 0) -> psutil.Process:
    """A sampler that waits for a learner which never answers, deep enough in it to have its signal handlers."""
    before = set(helper.children())
    launcher.start(name, incarnation, "run", launcher.endpoint)
    (process,) = wait_for(lambda: set(helper.children()) - before)
    wait_for(lambda: process.num_threads() > 1)  # those of its socket
    return process


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture(scope="module")
def helper(launcher: Launcher) -> psutil.Process:
    return helper_of()


def test_ends_of_samplers_are_reported(launcher: Launcher, helper: psutil.Process) -> None:
    """Each once, with name, incarnation, process and status: killed, asked to end, or failed by itself."""
    assert launcher.exits() == []
    killed, asked = start(launcher, helper, "s0"), start(launcher, helper, "s1", incarnation=4)
    killed.kill()
    (first,) = wait_for(launcher.exits)
    assert first == Exit("s0", 0, killed.pid, -signal.SIGKILL)
    assert first.reason == "SIGKILL"
    asked.terminate()
    assert wait_for(launcher.exits) == [Exit("s1", 4, asked.pid, DONE)]
    launcher.start("s2", 0, "run", "no endpoint")
    (failed,) = wait_for(launcher.exits)
    assert (failed.sampler, failed.status, failed.reason) == ("s2", 1, "exit code 1")
    assert launcher.exits() == []


def test_many_at_once(launcher: Launcher, helper: psutil.Process) -> None:
    """Orders and ends that come in one go are told apart."""
    names = [f"many-{number}" for number in range(6)]
    for name in names:
        launcher.start(name, 0, "run", "no endpoint")
    ended: list[Exit] = []
    wait_for(lambda: ended.extend(launcher.exits()) or len(ended) == len(names))
    assert sorted(one.sampler for one in ended) == names
    assert len({one.process for one in ended}) == len(names)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_helper_is_clean_to_fork(launcher: Launcher, helper: psutil.Process) -> None:
    """The helper has one thread and no socket, before and after it forked; its pipes are closed in samplers."""

    def descriptors(process: psutil.Process) -> list[str]:
        folder = Path(f"/proc/{process.pid}/fd")
        return [os.readlink(entry) for entry in folder.iterdir()]

    sampler = start(launcher, helper, "clean")
    assert helper.num_threads() == 1
    assert not any(target.startswith("socket:") for target in descriptors(helper))
    orders = os.readlink(f"/proc/{helper.pid}/fd/0")
    pipes = {target for target in descriptors(helper) if target.startswith("pipe:")}
    inherited = {os.readlink(f"/proc/{helper.pid}/fd/{number}") for number in (1, 2)}  # the terminal's
    assert orders in pipes
    assert not (pipes - inherited) & set(descriptors(sampler))
    assert os.readlink(f"/proc/{sampler.pid}/fd/0") == os.devnull
    sampler.kill()
    wait_for(launcher.exits)


def test_interrupts_are_the_learners_business(launcher: Launcher, helper: psutil.Process) -> None:
    """Ctrl-C does not reach the helper and its samplers, and would not end them."""
    sampler = start(launcher, helper, "interrupted")
    assert os.getsid(helper.pid) == os.getsid(sampler.pid) != os.getsid(0)
    for process in (helper, sampler):
        process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert alive(helper)
    assert alive(sampler)
    sampler.kill()
    wait_for(launcher.exits)


def test_close_ends_everything() -> None:
    """Within seconds, a sampler that does not listen too; the socket's folder is gone. Closing twice does no harm."""
    launcher = Launcher()
    helper = helper_of()
    folder = folder_of(helper)
    assert launcher.endpoint == f"ipc://{folder}/link"
    assert len(launcher.endpoint) < 100
    assert folder.stat().st_mode & 0o777 == 0o700
    samplers = [start(launcher, helper, "listens"), start(launcher, helper, "hangs")]
    samplers[1].suspend()
    started = time.monotonic()
    launcher.close()
    assert time.monotonic() - started < 5
    assert not any(alive(process) for process in (helper, *samplers))
    assert not folder.exists()
    launcher.close()


def test_death_of_the_helper_is_noticed() -> None:
    """When the helper is killed, `Launcher.exits` says so, and closing ends the samplers that it leaves behind."""
    launcher = Launcher()
    helper = helper_of()
    folder = folder_of(helper)
    sampler = start(launcher, helper, "orphan")
    helper.kill()
    with pytest.raises(ChildProcessError, match="SIGKILL"):
        wait_for(launcher.exits)
    launcher.close()
    wait_for(lambda: not alive(sampler), seconds=5)
    assert not folder.exists()


def test_helper_ends_with_its_parent() -> None:
    """Also when the parent is killed before the helper has finished its imports: no process and no folder is left."""
    script = "import time\nfrom framework.runtime.launch import Launcher\n"
    script += "launcher = Launcher()\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        helper = helper_of(parent.pid)
        folder = folder_of(helper)
        parent.kill()
    assert folder.exists()
    wait_for(lambda: not alive(helper))
    assert not folder.exists()


def test_working_directory_is_no_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder ``framework`` where the run is started does not stand for this package in the helper."""
    (tmp_path / "framework").mkdir()
    (tmp_path / "framework" / "__init__.py").write_text("raise RuntimeError('wrong one')")
    (tmp_path / "json.py").write_text("raise RuntimeError('wrong one')")
    monkeypatch.chdir(tmp_path)
    launcher = Launcher()
    try:
        start(launcher, helper_of(), "anywhere")
    finally:
        launcher.close()


def test_order_to_a_dead_helper_says_so() -> None:
    """Starting a sampler when the helper was killed raises what `Launcher.exits` would have, not a broken pipe."""
    launcher = Launcher()
    helper = helper_of()
    helper.kill()
    wait_for(lambda: not alive(helper))
    with pytest.raises(ChildProcessError, match=r"helper process that starts samplers has ended \(SIGKILL\)"):
        launcher.start("late", 0, "run", launcher.endpoint)
    launcher.close()


def test_long_temporary_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is possible, and how to mend it; nothing is left there."""
    place = tmp_path / ("x" * 90)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(RunError, match=r"has a path of \d+ bytes, and 107 are possible; set TMPDIR to a short"):
        Launcher()
    assert not list(place.iterdir())


def test_folders_of_the_dead_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose lock nobody holds is removed by the next launcher; one in use, or without a lock, is left."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.mkdtemp(dir="/tmp"))
    place = Path(tempfile.gettempdir())
    stale, foreign, used = (place / f"framework-link-{name}" for name in ("stale", "foreign", "used"))
    for folder in (stale, foreign, used):
        folder.mkdir()
    (stale / "lock").touch()
    with (used / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, own_lock = launch._socket_folder()
    own_lock.close()
    assert set(place.iterdir()) == {foreign, used, Path(folder)}
    shutil.rmtree(place)


def test_threads_are_counted_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``/proc`` is not mounted the helper counts the threads that Python knows of."""

    def missing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", missing)
    assert zygote._threads() == threading.active_count()

from __future__ import annotations

import errno
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
from pathlib import Path

import psutil
import pytest
from processes import alive, wait_for

from framework.errors import RunError
from framework.toolkit import background
from framework.toolkit.background import Background, Inside, inside

MODULE = "in_background"
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(autouse=True)
def support(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes find what tests share."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Background]:
    process = Background(tmp_path)
    yield process
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "ENDED", 1.0)  # the deaf are not waited for
        process.stop()


def of(process: Background) -> psutil.Process:
    """The process itself."""
    return psutil.Process(process.told()["process"])


def test_it_is_there_until_it_is_stopped(process: Background) -> None:
    """It tells what it is to, in a session of its own, and is gone when it was stopped, also as a child of ours."""
    assert not process.running
    process.start(MODULE, {"some": "thing"})
    assert process.running
    assert process.told()["wanted"] == {"some": "thing"}
    itself = of(process)
    assert os.getsid(itself.pid) == itself.pid
    process.stop()
    assert not process.running
    wait_for(lambda: not psutil.pid_exists(itself.pid))
    process.stop()


def test_what_is_wanted_changes(process: Background) -> None:
    """While it runs, without another process."""
    process.start(MODULE, {"number": 1})
    before = of(process)
    process.want({"number": 2})
    wait_for(lambda: process.told()["wanted"] == {"number": 2})
    process.keep(MODULE, {"number": 3})
    wait_for(lambda: process.told()["wanted"] == {"number": 3})
    assert of(process) == before


def test_what_keeps_it_starts_it_where_it_has_ended(process: Background) -> None:
    """With what is wanted now."""
    process.start(MODULE, {"number": 1})
    before = of(process)
    before.kill()
    wait_for(lambda: not process.running)
    process.keep(MODULE, {"number": 2})
    assert process.told()["wanted"] == {"number": 2}
    assert of(process) != before


def test_one_that_ends_before_it_is_ready_is_an_error(process: Background, tmp_path: Path) -> None:
    """With its exit code and the end of its log; then there is none."""
    lines = [f"line {number}" for number in range(50)]
    with pytest.raises(RunError, match=r"^in_background ended with 3:\nline 30\n") as error:
        process.start(MODULE, {"says": lines, "exits": 3})
    assert str(error.value).endswith("line 49")
    assert not process.running
    assert "line 0\n" in (tmp_path / "log").read_text()


def test_a_module_that_is_not_there_is_an_error(process: Background) -> None:
    """In Python's words."""
    with pytest.raises(RunError, match="No module named no_such_module"):
        process.start("no_such_module", {})


def test_one_that_does_not_get_ready_is_killed(process: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some time, with the end of its log."""
    monkeypatch.setattr(background, "READY", 1.0)
    with pytest.raises(RunError, match=r"in_background was not ready after 1 s:\nhello"):
        process.start(MODULE, {"says": ["hello"], "never_ready": True})
    assert not process.running


def test_an_interrupted_start_leaves_nothing(
    process: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while it is waited for."""
    sleep = time.sleep

    def interrupted(seconds: float) -> None:
        sleep(seconds)
        if process.running:
            raise KeyboardInterrupt

    monkeypatch.setattr(background.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.start(MODULE, {"never_ready": True})
    assert not process.running
    _, _, number = (tmp_path / "lock").read_text().partition(" ")
    assert not psutil.pid_exists(int(number))


def test_there_is_one_at_a_time(process: Background, tmp_path: Path) -> None:
    """The second is refused, whoever starts it, and the first goes on as it was."""
    process.start(MODULE, {"number": 1})
    first = of(process)
    with pytest.raises(RunError, match="has a process already"):
        Background(tmp_path).start(MODULE, {"number": 2})
    second = subprocess.run([sys.executable, "-m", MODULE, tmp_path], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "has a process already" in second.stderr
    assert process.told()["wanted"] == {"number": 1}
    assert of(process) == first


def test_of_many_who_start_it_at_once_one_does(process: Background, tmp_path: Path) -> None:
    """The others are told, and what they want does not count."""
    ready, results = threading.Barrier(4), dict[int, str]()

    def start(number: int) -> None:
        ready.wait()
        try:
            Background(tmp_path).start(MODULE, {"number": number})
            results[number] = ""
        except RunError as error:
            results[number] = str(error)

    starters = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert sorted(results.values()) == ["", *[f"{tmp_path} has a process already"] * 3]
    first = next(number for number, error in results.items() if not error)
    assert process.told()["wanted"] == {"number": first}


def test_a_folder_where_nothing_can_be_locked_is_told(
    process: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some network file systems are: nobody could say whether the process is there."""
    (tmp_path / "lock").touch()

    def flock(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as refused:
        refused.setattr(fcntl, "flock", flock)
        with pytest.raises(RunError, match=f"{tmp_path}/lock: cannot be locked: No locks available"):
            process.told()
        with pytest.raises(RunError, match=f"{tmp_path}/starting: cannot be locked: No locks available"):
            process.start(MODULE, {})


def test_who_looks_does_not_hinder(process: Background, tmp_path: Path) -> None:
    """It is started also where somebody looks at its lock at that moment; nobody who looks sees another who does."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert not process.running
        timer = threading.Timer(0.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
        timer.start()
        process.start(MODULE, {})
        timer.join()
    assert process.running


def test_one_that_was_killed_is_told(process: Background) -> None:
    """With the end of its log; another can be started in its place."""
    process.start(MODULE, {"says": ["last words"]})
    of(process).kill()
    wait_for(lambda: not process.running)
    with pytest.raises(RunError, match=r"the process of .* has ended:\nlast words"):
        process.told()
    process.stop()
    process.start(MODULE, {})
    assert process.running


def test_one_that_was_never_started_is_told(process: Background) -> None:
    """It has ended, and has no log."""
    with pytest.raises(RunError, match=r"has ended:\n$"):
        process.told()
    process.stop()


def test_one_that_is_not_ready_yet_is_told(tmp_path: Path) -> None:
    """It has the lock, and has told nothing."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="is not ready yet"):
            Background(tmp_path).told()


@pytest.mark.parametrize("way", ["deaf", "stopped"])
def test_one_that_hangs_is_killed(process: Background, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """When SIGTERM has not ended it in time; what it has started ends with it."""
    monkeypatch.setattr(background, "ENDED", 0.5)
    process.start(MODULE, {"deaf": way == "deaf", "child": True})
    itself, child = of(process), psutil.Process(process.told()["child"])
    if way == "stopped":
        itself.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    process.stop()
    assert 0.5 <= time.monotonic() - started < 5
    wait_for(lambda: not alive(itself) and not alive(child), seconds=5)


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell children of their parent's end")
def test_children_end_with_it(process: Background) -> None:
    """Also where it is killed, within a second, and whatever session they are in."""
    process.start(MODULE, {"child": True})
    itself, child = of(process), psutil.Process(process.told()["child"])
    assert alive(child)
    itself.kill()
    wait_for(lambda: not alive(child), seconds=1)


def test_it_outlives_who_started_it(process: Background, tmp_path: Path) -> None:
    """Who is killed, as by the end of its terminal: its group gets SIGHUP. Anybody can stop it."""
    script = "from framework.toolkit.background import Background\nfrom pathlib import Path\nimport os, signal\n"
    script += f"Background(Path({str(tmp_path)!r})).start({MODULE!r}, {{}})\nos.killpg(0, signal.SIGHUP)"
    starter = subprocess.run([sys.executable, "-c", script], start_new_session=True, check=False)
    assert starter.returncode == -signal.SIGHUP
    itself = of(process)
    time.sleep(0.1)
    assert alive(itself)
    process.stop()
    wait_for(lambda: not alive(itself), seconds=5)


def test_another_machines_is_left_alone(process: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run directories may be shared, and a process of the same number here is another."""
    here = socket.gethostname()
    process.start(MODULE, {})
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
        with pytest.raises(RunError, match=f"is one of {here}: end it there"):
            process.stop()
    assert process.running


@pytest.mark.parametrize(("refusal", "message"), [(PermissionError, "another account's"), (None, "cannot be ended")])
def test_one_that_cannot_be_ended_is_told(
    process: Background, monkeypatch: pytest.MonkeyPatch, refusal: type[OSError] | None, message: str
) -> None:
    """Another account's, and one that not even SIGKILL ends."""
    process.start(MODULE, {})

    def send(number: int, sent: int) -> None:
        if refusal is not None:
            raise refusal

    with monkeypatch.context() as refused:
        for name in ("kill", "killpg"):
            refused.setattr(os, name, send)
        refused.setattr(background, "ENDED", 0.1)
        with pytest.raises(RunError, match=message):
            process.stop()
    assert process.running


def test_inside_it_hears_of_signals(tmp_path: Path) -> None:
    """SIGTERM and SIGINT are wishes; the lock is held as long as the context lasts, and says whose it is."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            with inside(tmp_path) as process:
                assert Background(tmp_path).running
                assert not process.ending
                signal.raise_signal(number)
                assert process.ending
            assert not Background(tmp_path).running
            assert (tmp_path / "lock").read_text() == f"{socket.gethostname()} {os.getpid()}"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_is_read_is_whole(tmp_path: Path) -> None:
    """Whoever reads while it tells gets one thing or the other."""
    process, done = Inside(tmp_path), threading.Event()

    def tell() -> None:
        while not done.is_set():
            for letter in "ab":
                process.tell(letter * 100_000)

    teller = threading.Thread(target=tell)
    process.tell("")
    teller.start()
    texts = {json.loads((tmp_path / "status.json").read_text())["told"][-1:] for _ in range(200)}
    done.set()
    teller.join()
    assert texts <= {"", "a", "b"}

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import runs
from misbehaving import write_pipeline

from framework.runtime.disk.checkpoint import checkpoints
from framework.runtime.learn.interrupt import Interrupt


def test_request_waits_for_the_next_check() -> None:
    """Outside of `at_once` nothing is left halfway."""
    interrupt = Interrupt()
    interrupt.request()
    assert interrupt.requested
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()
    with pytest.raises(KeyboardInterrupt), interrupt.at_once():
        pytest.fail("not entered")


def test_request_is_heard_at_once_in_foreign_code() -> None:
    """It is raised from wherever the thread is, and again afterwards where foreign code has caught it."""
    interrupt = Interrupt()
    caught = []

    def environment() -> None:
        try:
            interrupt.request()
        except KeyboardInterrupt:
            caught.append(True)

    with pytest.raises(KeyboardInterrupt), interrupt.at_once():
        environment()
    assert caught == [True]


def test_another_thread_raises_nothing_here() -> None:
    """A request from elsewhere is heard at the next check."""
    interrupt = Interrupt()

    def elsewhere() -> None:
        thread = threading.Thread(target=interrupt.request)
        thread.start()
        thread.join()
        assert interrupt.requested

    with pytest.raises(KeyboardInterrupt), interrupt.at_once():
        elsewhere()


SLOW = "import time; time.sleep(100)"
COMPILED = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # hears no signal until it returns


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["collecting", "evaluation"])
@pytest.mark.parametrize("body", [SLOW, COMPILED], ids=["python", "compiled"])
def test_no_environment_holds_up_an_interrupt(tmp_path: Path, body: str, phase: str) -> None:
    """SIGTERM saves and ends the run in less than 5 s, whatever the environment does, wherever it is played."""
    if phase == "evaluation":
        body = f"if os.path.exists('{tmp_path}/evaluating'): {body}"
        overrides = ["evaluation.every_steps=256"]
    else:
        body = f"if os.path.exists('{tmp_path}/evaluating') and self.steps == 5: {body}"
        overrides = ["evaluation.episodes=0"]
    path = write_pipeline(tmp_path, body, **{"2048": "100_000_000"})
    command = [*runs.FRAMEWORK, "run", str(path), "runtime.samplers=0", *overrides, "--runs", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        directory = runs.wait_for_updates(tmp_path, 3, process)
        (tmp_path / "evaluating").touch()
        time.sleep(1.0)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130
        assert time.monotonic() - started < 5
    update = runs.metrics(directory)[-1]["update"]
    assert checkpoints(directory / "checkpoints")[-1].name == f"update-{update:08d}"

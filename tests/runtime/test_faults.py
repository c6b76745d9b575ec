import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import runs
from misbehaving import write_pipeline

import framework
from framework.errors import RunError
from framework.runtime.disk.checkpoint import checkpoints, load


@pytest.mark.parametrize(
    ("samplers", "body", "place"),
    [
        (0, "if self.steps == 7: observation[1] = np.nan", "nan in observations/observation of environment"),
        pytest.param(
            1,
            "if self.steps == 7: observation[1] = np.nan",
            "nan in observations/observation of environment",
            marks=pytest.mark.slow,
        ),
        (0, "if self.steps == 20: observation[1] = np.inf", "inf in final_observations/observation of environment"),
        (0, "if self.steps == 7: reward = float('nan')", "nan in rewards of environment"),
    ],
)
def test_bad_numbers_stop_the_run(tmp_path: Path, samplers: int, body: str, place: str) -> None:
    """NaN and infinity stop the run, name where they came from, and leave the trajectory for a look."""
    path = write_pipeline(tmp_path, body)
    with pytest.raises(RunError, match=place) as caught:
        runs.run(path, tmp_path, runtime__samplers=samplers)
    saved = Path(str(caught.value).rpartition(" is in ")[2])
    assert any("observations/observation" in arrays for arrays in load(saved).values())


def test_exception_reaches_the_terminal(tmp_path: Path) -> None:
    """An exception in a sampler's environment stops the run, with the sampler's name and the whole traceback."""
    path = write_pipeline(tmp_path, "if self.steps == 7: raise KeyError('the cause')")
    with pytest.raises(RunError, match=r"(?s)sampler-0 failed.*Traceback.*made\.py.*KeyError: 'the cause'"):
        runs.run(path, tmp_path, runtime__samplers=1)


def test_environment_that_is_not_deterministic_is_named(tmp_path: Path) -> None:
    """Where the same seed and actions give other observations, a resumed run notices it, says where, and goes on."""
    path = write_pipeline(tmp_path, "observation += np.random.random(3).astype(np.float32)")
    stopped = runs.session(path, tmp_path, runtime__samplers=0)
    for update in stopped.updates():
        if update.number == 6:
            break
    for _ in framework.train(framework.load_run(stopped.directory), resume=stopped.directory):
        pass
    events = runs.events(stopped.directory, "not_replayable")
    assert {environment for event in events for environment in event["environments"]} == set(range(8))
    assert runs.metrics(stopped.directory)[-1]["steps"] == 2048


@pytest.mark.slow  # CI runs it
def test_killed_sampler_is_replaced_quickly(tmp_path: Path) -> None:
    """A sampler killed with -9 is noticed in less than a second and its work goes on in less than two."""
    times: dict[str, float] = {}

    def kill(session: runs.Session, update: runs.Update) -> None:
        if update.number == 3:
            os.kill(runs.events(session.directory, "sampler_joined")[0]["process"], signal.SIGKILL)
            times["killed"] = time.time()

    directory = runs.run(
        write_pipeline(tmp_path, "import time; time.sleep(0.001)"), tmp_path, kill, runtime__samplers=2
    )
    stamp = {name: runs.moment(runs.events(directory, name)[-1]) for name in ("sampler_lost", "sampler_joined")}
    assert stamp["sampler_lost"] - times["killed"] < 1
    assert stamp["sampler_joined"] - times["killed"] < 2
    assert runs.metrics(directory)[-1]["steps"] == 2048


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """``framework run`` in the midst of a long run with two samplers, and its run directory."""
    path = runs.write(tmp_path, runs.CARTPOLE.replace("2048", "100_000_000"))
    command = [sys.executable, "-m", "framework", "run", str(path), "runtime.samplers=2", "--runs", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        directory = runs.wait_for_updates(tmp_path, 5, process)
        try:
            yield process, directory
        finally:
            process.kill()


def test_interrupt_saves_and_leaves_nothing(running: tuple[subprocess.Popen[bytes], Path]) -> None:
    """One Ctrl-C saves a checkpoint and ends with 130 in less than 5 s; no process and no socket is left."""
    process, directory = running
    family = psutil.Process(process.pid).children(recursive=True)
    sockets = {argument for child in family for argument in child.cmdline() if "framework-" in argument}
    assert len(family) == 3
    assert sockets
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert time.monotonic() - started < 5
    assert b"framework run --resume" in (process.stderr.read() if process.stderr else b"")
    assert not any(alive(child) for child in family)
    assert not any(Path(socket).exists() for socket in sockets)
    update = runs.metrics(directory)[-1]["update"]
    assert checkpoints(directory / "checkpoints")[-1].name == f"update-{update:08d}"


def test_killed_learner_takes_its_samplers_along(running: tuple[subprocess.Popen[bytes], Path]) -> None:
    """When the learner is killed with -9, its samplers are gone within 10 s, and so is their socket."""
    process, _ = running
    family = psutil.Process(process.pid).children(recursive=True)
    sockets = {argument for child in family for argument in child.cmdline() if "framework-" in argument}
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(alive(child) for child in family):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not any(Path(socket).exists() for socket in sockets)


def test_iterator_closed_early_saves(tmp_path: Path) -> None:
    """Leaving the loop over ``framework.train`` ends the run with a checkpoint and no process left."""
    updates: Any = framework.train(framework.load(runs.write(tmp_path), {"runtime.samplers": 2}), root=tmp_path)
    for update in updates:
        if update.number == 4:
            break
    updates.close()
    assert not psutil.Process().children()
    directory = next(tmp_path.glob("run-*"))
    assert load(checkpoints(directory / "checkpoints")[-1])["update"] == 4


def alive(process: psutil.Process) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_an_environment_that_hangs_is_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In one process of them: its sampler is ended, with the traceback of where it hung, and the run goes on."""
    hung = tmp_path / "hung"
    body = f"if self.steps == 7 and not os.path.exists('{hung}'): open('{hung}', 'w').close(); time.sleep(100)"
    directory = runs.run(
        write_pipeline(tmp_path, f"import time\n        {body}"),
        tmp_path,
        runtime__samplers=1,
        runtime__environment_timeout=1.0,
    )
    (lost,) = runs.events(directory, "sampler_lost")
    assert lost["status"] == 1
    assert "made.py" in capfd.readouterr().err
    assert runs.metrics(directory)[-1]["steps"] == 2048

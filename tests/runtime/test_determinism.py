import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import runs

import framework


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run with two samplers at lag 1."""
    folder = tmp_path_factory.mktemp("reference")
    return runs.run(runs.write(folder), folder, runtime__samplers=2)


@pytest.mark.parametrize("samplers", [0, *(pytest.param(samplers, marks=pytest.mark.slow) for samplers in (1, 4))])
def test_number_of_samplers_changes_nothing(reference: Path, tmp_path: Path, samplers: int) -> None:
    """At an integer lag, runs with 0, 1, 2 and 4 samplers are bit-equal."""
    directory = runs.run(runs.write(tmp_path), tmp_path, runtime__samplers=samplers)
    runs.assert_equal_runs(reference, directory)


@pytest.mark.slow
def test_busy_machine_changes_nothing(reference: Path, tmp_path: Path) -> None:
    """The result does not depend on timing: it is the same while every core is loaded by something else."""
    spin = [sys.executable, "-c", "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"]
    load = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        directory = runs.run(runs.write(tmp_path), tmp_path, runtime__samplers=2)
    finally:
        for process in load:
            process.kill()
            process.wait()
    runs.assert_equal_runs(reference, directory)


def test_lag_is_exact(reference: Path) -> None:
    """Update k is made from data of version k - lag, but for the first ones, which have only version 0."""
    lags = [line["lag"] for line in runs.metrics(reference) if "lag" in line]
    assert lags == [0] + [1] * (len(lags) - 1)


def test_killed_samplers_change_nothing(reference: Path, tmp_path: Path) -> None:
    """Samplers killed with -9 at several moments are replaced, and the result is that of the undisturbed run."""
    killed = []

    def kill(session: runs.Session, update: runs.Update) -> None:
        if update.number in (2, 5, 6, 11):
            joined = runs.events(session.directory, "sampler_joined")
            process = joined[update.number % len(joined)]["process"]
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                return
            killed.append(process)

    directory = runs.run(runs.write(tmp_path), tmp_path, kill, runtime__samplers=2)
    lost = runs.events(directory, "sampler_lost")
    assert [event["status"] for event in lost] == [-signal.SIGKILL] * len(killed)
    assert killed
    runs.assert_equal_runs(reference, directory)


@pytest.mark.slow
def test_a_killed_helper_changes_nothing(reference: Path, tmp_path: Path) -> None:
    """Killed with -9 with its samplers at work: it is replaced, and they are."""

    def kill(session: runs.Session, update: runs.Update) -> None:
        if update.number == 4:
            sampler = runs.events(session.directory, "sampler_joined")[0]["process"]
            os.kill(psutil.Process(sampler).ppid(), signal.SIGKILL)

    directory = runs.run(runs.write(tmp_path), tmp_path, kill, runtime__samplers=2)
    assert len(runs.events(directory, "sampler_replaced")) == 2
    runs.assert_equal_runs(reference, directory)


@pytest.mark.parametrize(
    ("lag", "moments"),
    [(1, [5]), pytest.param(0, [3, 9], marks=pytest.mark.slow), pytest.param(1, [3, 9], marks=pytest.mark.slow)],
)
def test_killed_run_resumes_exactly(reference: Path, tmp_path: Path, lag: int, moments: list[int]) -> None:
    """A run killed with -9 between checkpoints and resumed ends bit-equal to one that was never disturbed."""
    path = runs.write(tmp_path, runs.CARTPOLE.replace("policy_lag = 1", f"policy_lag = {lag}"))
    undisturbed = reference if lag == 1 else runs.run(path, tmp_path / "undisturbed", runtime__samplers=0)
    directory = runs.kill_and_resume(path, tmp_path / "killed", moments=moments)
    runs.assert_equal_runs(undisturbed, directory)


def test_resumed_for_longer_stays_longer(reference: Path, tmp_path: Path) -> None:
    """Resumed with more steps and interrupted, a run goes on to the new end without being told again."""
    directory = tmp_path / "run"
    shutil.copytree(reference, directory)
    before = framework.load_run(directory).run.total_steps
    longer = framework.load_run(directory, [f"run.total_steps={2 * before}", "runtime.samplers=0"])
    updates = framework.train(longer, resume=directory)
    next(updates)
    updates.close()
    *_, last = framework.train(framework.load_run(directory), resume=directory)
    assert last.steps == 2 * before
    (event,) = runs.events(directory, "pipeline_changed")
    assert event["changes"] == {"run.total_steps": [before, 2 * before], "runtime.samplers": [2, 0]}

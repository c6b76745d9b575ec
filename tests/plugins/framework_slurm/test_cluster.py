"""Runs whose samplers SLURM keeps at work: the real one, on this machine, whose tasks are ended in several ways."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from slurm_cluster import HOLD, SlurmCluster, missing, wait_for

from framework.runtime.link.token import JoinToken
from measure.fleet import Fleet, run_alone, write_pipeline
from measure.processes import environment
from measure.proxied import Proxied

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

UPDATES = 45
STEP_SECONDS = 0.004
PROGRAM = f'program=["{sys.executable}", "-m", "framework"]'


class Run(Fleet):
    """A learner at a free port of this machine, whose samplers SLURM starts."""

    def _listen(self) -> list[str]:
        return ["--listen", "127.0.0.1:0"]

    def launch(self, *arguments: str) -> str:
        """Call ``framework launch``."""
        command = [sys.executable, "-m", "framework", "launch", *arguments]
        process = subprocess.run(
            command, env=environment() | self._variables, capture_output=True, text=True, check=False, timeout=180
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    @property
    def folder_of_launch(self) -> Path:
        return self.directory / "launch" / "slurm"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    with SlurmCluster() as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.variables.items():
            patch.setenv(name, value)
        yield cluster


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the undisturbed run comes to, in a single process."""
    return run_alone(tmp_path_factory.mktemp("alone"), UPDATES)


def begin(folder: Path, *overrides: str) -> Run:
    pipeline = write_pipeline(folder / "pipeline", UPDATES)
    return Run(Proxied(["learner"]), folder, pipeline, *overrides, step_seconds=STEP_SECONDS)


def task(cluster: SlurmCluster, number: int) -> str:
    """The task of a host, as SLURM's programs take it."""
    lines = cluster.call("squeue", "--noheader", "--array", "--format=%i").split()
    return next(line for line in lines if line.endswith(f"_{number}"))


def sampler(cluster: SlurmCluster, number: int) -> psutil.Process:
    """The process that a host's batch script has started."""
    name = f"slurm-{number}"
    return next(process for process in cluster.processes() if process.cmdline()[-1:] == [name])


def kill_sampler(cluster: SlurmCluster, number: int) -> None:
    sampler(cluster, number).kill()


def requeue(cluster: SlurmCluster, number: int) -> None:
    cluster.call("scontrol", "requeue", task(cluster, number))


def warn(cluster: SlurmCluster, number: int) -> None:
    """Say what SLURM says a minute before the time limit."""
    cluster.call("scancel", "--batch", "--signal=TERM", task(cluster, number))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("disturb", [kill_sampler, requeue, warn])
def test_a_run_goes_on_without_a_task_and_has_it_again(
    cluster: SlurmCluster,
    expected: dict[str, str],
    disturb: Callable[[SlurmCluster, int], None],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """One of three is ended; the learner notices, SLURM starts it again, and the run comes to what it does alone."""
    with begin(tmp_path) as run:
        run.launch("slurm", str(run.directory), "--samplers", "3", PROGRAM)
        for number in range(3):
            run.event("host_joined", 0.0, host=f"slurm-{number}")
        run.reach(5)
        disturbed = time.time()
        disturb(cluster, 1)
        noticed = wait_for(lambda: missed(run, disturbed), 30.0)
        back = run.event("host_joined", disturbed, 60.0, host="slurm-1")
        record_property("noticed", round(noticed[0]["at"] - disturbed, 2))
        record_property("replaced", round(back["at"] - disturbed, 2))
        print(f"{disturb.__name__}: noticed after {noticed[0]['at'] - disturbed:.2f} s", end="")
        print(f", replaced after {back['at'] - disturbed:.2f} s of which SLURM holds it for {HOLD + 1}")
        assert "slurm-1" in noticed[0]["host"]
        status = run.launch("--status", str(run.directory))
        assert [line.split()[1] for line in status.splitlines()[2:]] == ["running"] * 3
        assert run.end() == expected
        wait_for(lambda: cluster.call("squeue", "--noheader") == "", 60.0)
        run.launch("--stop", str(run.directory))
    assert cluster.processes() == []


@pytest.mark.timeout(300)
def test_a_pipeline_may_name_slurm(cluster: SlurmCluster, expected: dict[str, str], tmp_path: Path) -> None:
    """The run starts its tasks itself, comes to what it does alone, and leaves none and no folder behind."""
    launcher = ["launcher.use=slurm", "launcher.samplers=4", "launcher.workers=2", f"launcher.{PROGRAM}"]
    with begin(tmp_path, *(f"runtime.{override}" for override in launcher)) as run:
        for number in range(2):
            run.event("host_joined", 0.0, host=f"slurm-{number}", samplers=2)
        assert run.end() == expected
        assert run.event("launched", 0.0)["samplers"] == 4
        assert not run.folder_of_launch.exists()
    assert cluster.call("squeue", "--noheader") == ""
    assert cluster.processes() == []


@pytest.mark.timeout(300)
def test_hosts_come_and_go(cluster: SlurmCluster, tmp_path: Path) -> None:
    """More than there is room for: some wait. Fewer: those that wait go first. None: all are gone, and the key too."""
    with begin(tmp_path) as run:
        run.launch("slurm", str(run.directory), "--samplers", "1", "time=60", PROGRAM)
        run.launch(str(run.directory), "--scale", "10")
        for number in range(8):
            run.event("host_joined", 0.0, host=f"slurm-{number}")
        lines = [line.split() for line in run.launch("--status", str(run.directory)).splitlines()[2:]]
        assert [line[:2] for line in lines] == [[f"slurm-{n}", "running" if n < 8 else "waiting"] for n in range(10)]
        assert lines[9][2] == "(Resources)" or lines[9][2] == "(Priority)"
        run.launch(str(run.directory), "--scale", "8")
        assert not run.events("host_left")
        run.launch(str(run.directory), "--scale", "2")
        wait_for(lambda: {event["host"] for event in missed(run)} == {f"slurm-{n}" for n in range(2, 8)}, 30.0)
        assert len(cluster.call("squeue", "--noheader", "--array").splitlines()) == 2
        logs = {file.stem: file.read_text() for file in run.folder_of_launch.glob("slurm-*.log")}
        assert len(logs) == 8
        assert [name for name, text in logs.items() if "Traceback" in text] == []
        run.launch(str(run.directory), "--stop")
        assert cluster.call("squeue", "--noheader") == ""
        assert not run.folder_of_launch.exists()
    assert cluster.processes() == []


def missed(run: Run, since: float = 0.0) -> list[dict[str, Any]]:
    """What the learner has noticed of hosts that are not there any more."""
    return [event for name in ("host_disconnected", "host_left", "host_gone") for event in run.events(name, since)]


@pytest.mark.timeout(300)
def test_nothing_but_its_file_has_the_token(cluster: SlurmCluster, tmp_path: Path) -> None:
    """Neither what SLURM tells, keeps and logs, nor the arguments and environments of the tasks' processes."""
    with begin(tmp_path) as run:
        run.launch("slurm", str(run.directory), "--samplers", "2", PROGRAM)
        run.event("host_joined", 0.0, host="slurm-1")
        token = run.folder_of_launch / "token"
        join = JoinToken.read(str(token))
        (job,) = {line.split("_")[0] for line in cluster.call("squeue", "--noheader", "--array", "--format=%i").split()}
        told = [
            cluster.call("scontrol", "--details", "show", "job", job),
            cluster.call("scontrol", "write", "batch_script", job, "-"),
            cluster.call("squeue", "--array", "--format=all"),
            cluster.call("squeue", "--array", "--Format=ALL"),
        ]
        processes = cluster.processes()
        told += [str(process.cmdline()) + str(process.environ()) for process in processes]
        assert any(str(token) in text for text in told)
        folders = (cluster.folder, run.directory / "launch")
        files = [file for folder in folders for file in folder.rglob("*") if file.is_file() and file != token]
        kept = [file.read_bytes() for file in files]
        kept += [text.encode() for text in told]
        assert len(processes) > 6
        assert str(join)[-60:] in token.read_text()
        for secret in (join.secret, str(join)[-60:]):
            assert not any(secret.encode() in text for text in kept)
        run.launch("--stop", str(run.directory))

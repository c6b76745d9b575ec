"""Whole runs whose samplers are pods, with the real ``framework sampler``, that lose pods and their learner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from kubernetes_cluster import Cluster
from kubernetes_pod import Image, can_isolate
from kubernetes_stub import IMAGE

from framework.runtime.link.token import JoinToken
from measure.fleet import lines, outcome, run_alone, wait_for, write_pipeline
from measure.processes import environment

UPDATES = 24
RUNTIME = """
listen = "127.0.0.1:0"
[runtime.launcher]
use = "kubernetes"
samplers = 4
workers = 2
image = "{image}"
variables = {{ STEP_SECONDS = "0.005" }}
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the undisturbed run comes to, in a process of its own."""
    return run_alone(tmp_path_factory.mktemp("alone"), UPDATES)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose image is this installation; where that is possible a pod's sampler is its process number 1."""
    path = os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin"))
    with Cluster(Image(path, isolated=can_isolate()), backoff=0.2) as made, made.on_path():
        yield made


@contextmanager
def learner(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A learner, which is ended with the context."""
    with (folder / "learner.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "framework", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def write(folder: Path) -> str:
    """A pipeline that has the cluster collect, and nobody else."""
    path = write_pipeline(folder, UPDATES, samplers=0, checkpoints=0.5)
    with path.open("a") as file:
        file.write(RUNTIME.format(image=IMAGE))
    return str(path)


def at_update(folder: Path, number: int) -> Path:
    """The run's directory, when it has made so many updates."""

    def reached() -> Path | None:
        run = next((folder / "runs").glob("*"), None)
        return run if run is not None and len(lines(run, "metrics.jsonl")) >= number else None

    directory: Path = wait_for(reached)
    return directory


def lose_a_pod(cluster: Cluster, how: Callable[..., None]) -> None:
    """One is lost, and another comes in its place."""
    [lost, _] = cluster.running()
    how(lost)
    assert cluster.wait(lambda: lost.judged and len(cluster.running()) == 2, 60)


def test_a_run_that_loses_pods_comes_to_the_same(cluster: Cluster, tmp_path: Path, expected: dict[str, str]) -> None:
    """One is killed and one loses its node: weights, metrics and episodes are those of the undisturbed run.

    When it is complete nothing is left in the cluster. Its token was in the Secret alone.
    """
    with learner(tmp_path, write(tmp_path), "--runs", str(tmp_path / "runs")) as process:
        directory = at_update(tmp_path, 4)
        token = JoinToken.read(str(directory / "launch" / "kubernetes" / "token"))
        lose_a_pod(cluster, cluster.kill)
        at_update(tmp_path, 10)
        lose_a_pod(cluster, cluster.evict)
        record = cluster.record()
        pods = list(cluster.pods.values())
        assert process.wait(120) == 0, (tmp_path / "learner.log").read_text()
    assert outcome(directory) == expected
    # The page about learners in the cluster looks for this.
    assert (directory / "events.jsonl").read_text().splitlines()[-1].endswith('"status": "done"}')
    joined = {event["host"] for event in lines(directory, "events.jsonl") if event["event"] == "host_joined"}
    assert joined == {pod.name for pod in pods}
    killed, evicted, *others = sorted(pods, key=lambda pod: pod.judged, reverse=True)
    assert {killed.exit_code, evicted.exit_code} == {75, 137}
    assert {pod.exit_code for pod in others} <= {0, 75}  # they end as the Job is deleted
    assert (cluster.jobs, cluster.pods, cluster.secrets) == ({}, {}, {})
    for secret in (str(token), token.secret):
        assert secret not in record + cluster.record() + (tmp_path / "learner.log").read_text()


def test_a_killed_learner_finds_its_pods_again(cluster: Cluster, tmp_path: Path, expected: dict[str, str]) -> None:
    """It is resumed where it was: the Job is as it was, its pods go on, and the run comes to the same."""
    with learner(tmp_path, write(tmp_path), "--runs", str(tmp_path / "runs")) as process:
        directory = at_update(tmp_path, 8)
        wait_for(lambda: any((directory / "checkpoints").iterdir()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = list(cluster.pods)
    with learner(tmp_path, "--resume", str(directory)) as process:
        assert process.wait(120) == 0, (tmp_path / "learner.log").read_text()
    assert outcome(directory) == expected
    joined = {event["host"] for event in lines(directory, "events.jsonl") if event["event"] == "host_joined"}
    assert joined == set(before)
    assert cluster.jobs == {}
    leftovers = [process for process in psutil.Process().children(recursive=True) if "sampler" in process.cmdline()]
    assert leftovers == []

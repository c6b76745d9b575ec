"""The real ``kubectl``, against the HTTP interface of a cluster of processes: that it takes what it is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes_api import served
from kubernetes_stub import Stubbed, launch

from framework.errors import RunError
from framework.runtime.link.keys import Keys
from framework.runtime.link.token import JoinToken

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl: see kubernetes.io/docs/tasks/tools"),
]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubbed]:
    """A cluster that kubectl's configuration leads to."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))  # where kubectl keeps what it has learned of servers
    with Stubbed(tmp_path) as made, served(made, tmp_path / "config"):
        yield made


def test_start_status_scale_and_stop(cluster: Stubbed, run: Path) -> None:
    """All that the launcher asks of it, with nothing left at the end, and the token in no address that it calls."""
    launch(run).start()
    pods = cluster.reach(2)
    token = JoinToken.read(str(run / "launch" / "kubernetes" / "token"))
    assert [(pod.folder / "token").read_text() for pod in pods] == [str(token)] * 2
    assert [(host.name, host.state) for host in launch(run).status()] == [(pod.name, "running") for pod in pods]
    launch(run, samplers=3).start()
    pods = cluster.reach(3)
    launch(run, samplers=3).stop()
    assert [pod.phase for pod in pods] == ["Failed"] * 3
    assert (cluster.pods, cluster.jobs, cluster.secrets) == ({}, {}, {})
    launch(run, samplers=3).stop()
    calls = str(cluster.calls)
    assert "/namespaces/namespace-of-mine/jobs" in calls
    assert "fw1." not in calls + cluster.record()


def test_what_is_there_already_is_told(cluster: Stubbed, run: Path) -> None:
    """In its own words, with what to do; of the second launch nothing is left."""
    launch(run).start()
    (run / "launch").rename(run / "lost")
    with pytest.raises(RunError, match=r"(?s)already exists.*kubectl delete job/"):
        launch(run).start()
    assert Keys(run).clients()["kubernetes-2"]["revoked"]
    assert len(cluster.jobs) == len(cluster.secrets) == 1


def test_the_plan_can_be_applied(cluster: Stubbed, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What --dry-run prints, with the Secret that is made as its comment says."""
    monkeypatch.chdir(tmp_path)
    plan = launch(run).plan()
    [command] = [line.removeprefix("#   ") for line in plan.splitlines() if "create secret" in line]
    command = command.replace("framework join", "cat", 1).replace(" |", "/join |", 1)
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["kubectl", "apply", "-f", "-"], input=plan, text=True, check=True, env=os.environ)
    pods = cluster.reach(2)
    assert [(pod.folder / "token").read_text() for pod in pods] == [(run / "join").read_text()] * 2


def test_a_cluster_that_is_not_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told; nothing is kept, and the key is revoked."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunError, match=r"^kubectl create --filename=- failed with exit code 1: .*refused"):
        launch(run).start()
    assert not launch(run).is_started

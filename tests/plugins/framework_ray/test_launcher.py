"""The launcher as the command line has it, with a driver whose cluster is made up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import wait_for

from framework.__main__ import main
from framework.errors import RunError
from framework.interfaces import HostStatus, LauncherContext, Work
from framework_ray import launcher as module
from framework_ray.config import RayConfig
from framework_ray.launcher import RayLauncher

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray may be missing, and is not used."""
    monkeypatch.setattr("framework_ray.config.find_spec", lambda name: object())
    monkeypatch.setattr(module, "MODULE", "ray_stub")
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "launch"
    folder.mkdir()
    (folder / "token").write_text("fw1.secret")
    return folder


@pytest.fixture
def launcher(folder: Path) -> Iterator[RayLauncher]:
    launcher = make(folder)
    yield launcher
    launcher.stop()


def make(folder: Path, config: RayConfig | None = None) -> RayLauncher:
    """Another one for the same run, as another process has it."""
    return RayLauncher(config or RayConfig(), LauncherContext(run="pong", directory=folder))


def work(folder: Path, hosts: int) -> Work:
    return Work(hosts, 4, ("framework",), folder / "token")


PLAN = """\
A process on this machine joins the cluster as a driver:
    ray.init(address='10.0.0.1:6379', runtime_env={'env_vars': {'A': 'b'}})
It keeps 16 tasks at work, ray-0 to ray-15:
    ray.remote(num_cpus=2.0, resources={'simulator': 1.0}, scheduling_strategy='SPREAD')
and submits another where one is lost, or ends with another exit code than 0, 77 and 78. A task runs
    framework sampler --join - --workers 4 --name ray-0
and writes the join token, from RUN/launch/ray/token, to its standard input.
"""


def test_a_dry_run_says_what_would_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, calls and commands; nothing is written and nothing started."""
    run = tmp_path / "pong"
    run.mkdir()
    (run / "pipeline.toml").touch()
    options = ['address="10.0.0.1:6379"', "num_cpus=2", "resources.simulator=1", 'runtime_env.env_vars.A="b"']
    assert main(["launch", "ray", str(run), "--samplers", "64", "--workers", "4", "--dry-run", *options]) == 0
    assert capsys.readouterr().out.replace(str(run), "RUN") == PLAN
    assert list(run.iterdir()) == [run / "pipeline.toml"]


def test_a_plan_for_one_host_names_it(folder: Path) -> None:
    """And what is not asked for is not there."""
    plan = make(folder).plan(work(folder, 1))
    assert "It keeps a task at work, ray-0:\n" in plan
    assert "ray.init(address='auto')\n" in plan
    assert "ray.remote(num_cpus=4.0, scheduling_strategy='SPREAD')\n" in plan


def test_hosts_are_started_scaled_told_and_ended(launcher: RayLauncher, folder: Path) -> None:
    """By launchers that know nothing of each other but the folder."""
    launcher.start(work(folder, 2))
    running = [HostStatus(f"ray-{number}", "running", "made-up", starts=1) for number in range(3)]
    wait_for(lambda: make(folder).status() == running[:2])
    make(folder).scale(work(folder, 3))
    wait_for(lambda: make(folder).status() == running)
    make(folder).scale(work(folder, 1))
    wait_for(lambda: make(folder).status() == running[:1])
    make(folder).stop()
    make(folder).stop()
    lines = (folder.parent / "record").read_text().splitlines()
    assert lines == ["submit ray-0", "submit ray-1", "submit ray-2", "cancel", "cancel", "cancel"]
    with pytest.raises(RunError, match="has ended"):
        launcher.status()


def test_a_driver_that_has_ended_is_told_and_started_again(launcher: RayLauncher, folder: Path) -> None:
    """As where its cluster is gone: the same command that has started the hosts does so once more."""
    launcher.start(work(folder, 1))
    os.kill(int((folder / "lock").read_text().split()[-1]), signal.SIGKILL)
    with pytest.raises(RunError, match="has ended"):
        wait_for(lambda: launcher.status() and None)
    launcher.scale(work(folder, 1))
    wait_for(lambda: launcher.status() == [HostStatus("ray-0", "running", "made-up", starts=1)])


def test_a_cluster_that_cannot_be_reached_is_an_error_of_the_command(folder: Path) -> None:
    """In the words of the driver."""
    with pytest.raises(RunError, match="no Ray cluster is reached at 'nowhere:1'"):
        make(folder, RayConfig(address="nowhere:1")).start(work(folder, 1))


def test_the_process_that_launches_does_not_import_ray() -> None:
    """Nor torch: Ray would take over its signals, and end it with the cluster."""
    program = (
        "import sys, framework_ray.launcher, framework_ray.config, framework_ray.driver\n"
        "assert not {'ray', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

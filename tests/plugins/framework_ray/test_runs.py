"""Whole runs whose samplers are tasks of a Ray cluster, with nodes and workers that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from attrs import frozen
from processes import alive, wait_for

from framework.runtime.link.token import JoinToken
from framework.testing import cases, subject
from framework.testing.conformance import run_case
from measure import fleet
from measure.fleet import Fleet, run_alone, write_pipeline
from measure.processes import environment
from measure.proxied import Proxied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'framework-rl[ray]'"),
]

SUPPORT = Path(__file__).parents[2] / "support"
UPDATES = 24
#: Seconds that a step of an environment takes: long enough that a run is disturbed in its midst.
STEP_SECONDS = 0.012
#: Seconds after which what was killed has left no process, its host is placed on another worker, and it collects there,
#: counted from then; twice as many are allowed on machines that do something else beside.
BARS = {"orphans gone": 1.0, "noticed": 8.0, "replaced": 4.0}
#: Prints what the head of a cluster has recorded of its tasks: what ``ray list tasks`` and the dashboard show.
RECORDS = """
import sys
from ray._raylet import GcsClientOptions, GlobalStateAccessor
accessor = GlobalStateAccessor(GcsClientOptions.create(sys.argv[1], None, True, False))
accessor.connect()
sys.stdout.buffer.write(b"".join(accessor.get_task_events()))
"""
#: Ray looks after its nodes more often than it does by itself, and listens on this machine only.
VARIABLES = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "STEP_SECONDS": str(STEP_SECONDS),
}


@frozen
class Ray:
    """A cluster that is there."""

    address: str
    raylets: list[psutil.Process]
    folder: Path

    @property
    def hosts(self) -> dict[str, psutil.Process]:
        """The processes of the hosts, by name."""
        hosts = {}
        for raylet in filter(alive, self.raylets):
            for child in raylet.children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # or a zombie
                    if "--name" in (command := child.cmdline()):
                        hosts[command[-1]] = child
        return hosts


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    """A cluster, which is gone afterwards with all its files."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # not pytest's: the names of Ray's sockets would be too long
    for name, value in {**VARIABLES, "RAY_TMPDIR": str(folder)}.items():
        monkeypatch.setenv(name, value)
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), variables["PYTHONPATH"]])
    with (folder / "cluster.log").open("w") as log:
        command, pipe = [sys.executable, "-m", "ray_cluster"], subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, env=variables)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (folder / "cluster.log").read_text()
        values = json.loads(line)
        yield Ray(values["address"], [psutil.Process(pid) for pid in values["raylets"]], folder)
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.stdin.close()
        process.stdout.close()
        process.wait(60)
        psutil.wait_procs(children, 20)
        left = [child for child in children if alive(child)]
        for child in left:
            child.kill()
        shutil.rmtree(folder)
        assert left == []


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the undisturbed run comes to, on this machine alone."""
    return run_alone(tmp_path_factory.mktemp("alone"), UPDATES)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A run that listens, and collects nothing itself."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(fleet, "PORT", free.getsockname()[1])
    with Proxied(("learner",)) as network, Fleet(network, tmp_path, write_pipeline(tmp_path, UPDATES)) as run:
        yield run
        launch(run, "--stop", check=False)


def launch(run: Fleet, *arguments: str, check: bool = True) -> str:
    """What ``framework launch`` prints."""
    names = [str(run.directory)] if arguments[0].startswith("--") else [arguments[0], str(run.directory)]
    options = arguments if arguments[0].startswith("--") else arguments[1:]
    command = [sys.executable, "-m", "framework", "launch", *options[:2], *names, *options[2:]]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=100)
    assert not check or result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def start(run: Fleet, ray: Ray, samplers: int, workers: int) -> None:
    """Have the cluster collect, and wait until all hosts do."""
    options = ["--samplers", str(samplers), "--workers", str(workers), f'address="{ray.address}"']
    launch(run, "ray", *options)
    wait_for(lambda: len(run.events("sampler_joined")) >= samplers, 60.0)


def log(run: Fleet) -> str:
    return (run.directory / "launch/ray/log").read_text()


def kill_worker(ray: Ray, name: str) -> list[psutil.Process]:
    """Kill the Ray worker of a host; returns the processes that must not outlive it."""
    host = ray.hosts[name]
    left = [host, *host.children(recursive=True)]
    host.parent().kill()
    return left


def kill_node(ray: Ray, name: str) -> list[psutil.Process]:
    """Kill the node of a host: its raylet and all workers; returns what must not outlive them."""
    raylet = ray.hosts[name].parent().parent()
    workers = [child for child in raylet.children() if any("ray::" in word for word in child.cmdline())]
    left = [process for worker in workers for process in worker.children(recursive=True)]
    assert left
    for process in (raylet, *workers):
        process.kill()
    return left


def passed(condition: Callable[[], bool], since: float) -> float:
    """Seconds until something is so."""
    wait_for(condition, 30.0)
    return time.time() - since


def gone(processes: list[psutil.Process], since: float) -> float:
    return passed(lambda: not any(map(alive, processes)), since)


@pytest.mark.parametrize("workers", [2, 1])
@pytest.mark.parametrize("kill", [kill_worker, kill_node])
def test_a_run_comes_to_the_same_whatever_is_killed(
    kill: Callable[[Ray, str], list[psutil.Process]],
    workers: int,
    ray: Ray,
    run: Fleet,
    expected: dict[str, str],
) -> None:
    """Four samplers, as two hosts or as four: weights, metrics and episodes, and within the times that are promised."""
    start(run, ray, 4, workers)
    run.reach(3)
    struck = time.time()
    left = kill(ray, "ray-0")
    figures = {"orphans gone": gone(left, struck)}
    figures["told"] = passed(lambda: "ray-0 was lost" in log(run), struck)
    figures["noticed"] = passed(lambda: log(run).count("ray-0 collects on") == 2, struck)
    joined = run.event("host_joined", struck, 20.0, host="ray-0")["at"]
    figures["replaced"] = run.event("sampler_joined", joined, 20.0)["at"] - struck - figures["noticed"]
    print(kill.__name__, workers, {name: round(value, 2) for name, value in figures.items()})
    assert run.end() == expected
    late = {name: figures[name] for name, bar in BARS.items() if figures[name] > 2 * bar}
    assert not late
    wait_for(lambda: launch(run, "--status").count(" ended ") == 4 // workers)


def test_it_conforms(ray: Ray) -> None:
    """To what the kit asks of every launcher, with stubs in the place of hosts, and a processor for two of them."""
    tested = subject("launcher", "ray", {"address": ray.address, "num_cpus": 0.5}, patience=60.0)
    results = [run_case(case) for case in cases(tested)]
    assert [(result.name, result.reason) for result in results if result.status != "passed"] == []
    assert "final_exits" in {result.name for result in results}


def test_hosts_come_and_go_in_good_order(ray: Ray, run: Fleet, expected: dict[str, str]) -> None:
    """With --scale, --stop, and what --status says of each."""
    start(run, ray, 2, 1)
    wait_for(lambda: launch(run, "--status").count(" running ") == 2)
    launch(run, "--scale", "4")
    wait_for(lambda: len(ray.hosts) == 4)
    run.reach(2)
    before = time.time()
    launch(run, "--scale", "1")
    run.event("host_left", before, 10.0)
    wait_for(lambda: list(ray.hosts) == ["ray-0"], 10.0)
    processes = [process for host in ray.hosts.values() for process in (host, *host.children(recursive=True))]
    before = time.time()
    launch(run, "--stop")
    assert time.time() - before < 8.0
    assert not any(map(alive, processes))
    assert not (run.directory / "launch/ray").exists()
    start(run, ray, 4, 2)
    assert run.end() == expected


def test_the_token_is_nowhere_to_be_read(ray: Ray, run: Fleet) -> None:
    """In no argument or environment of a process, in no file of Ray's, and in nothing that Ray says of its tasks."""
    start(run, ray, 4, 2)
    token = run.directory / "launch/ray/token"
    secrets = [token.read_text().strip(), JoinToken.read(str(token)).secret]
    readable = []
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                readable.append(((folder / name), (folder / name).read_bytes()))
            except OSError:
                continue  # it has ended
    files = [file for folder in (ray.folder, run.directory) for file in folder.rglob("*") if file.is_file()]
    readable += [(file, file.read_bytes()) for file in files if file != token]
    assert any("events" in str(file) or file.name.startswith("worker-") for file in files)
    assert any(b"--join" in content for _, content in readable)
    command = [sys.executable, "-c", RECORDS, ray.address]
    records = wait_for(lambda: (said := subprocess.check_output(command)).count(b"/ray-") >= 2 and said)
    readable.append((Path("records"), records))
    leaks = [path for path, content in readable for secret in secrets if secret.encode() in content]
    assert leaks == []


def test_a_cluster_that_is_not_there(run: Fleet) -> None:
    """Is told by the command, which leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f'address="127.0.0.1:{port}"'
    assert "no Ray cluster is reached at" in launch(run, "ray", "--samplers", "1", address, check=False)
    assert not (run.directory / "launch/ray").exists()


def test_a_driver_that_is_killed_takes_its_hosts_along(ray: Ray, run: Fleet, expected: dict[str, str]) -> None:
    """And the same command starts them again."""
    start(run, ray, 4, 2)
    processes = [process for host in ray.hosts.values() for process in (host, *host.children(recursive=True))]
    os.kill(int((run.directory / "launch/ray/lock").read_text().split()[-1]), signal.SIGKILL)
    wait_for(lambda: not any(map(alive, processes)), 15.0)
    assert "has ended" in launch(run, "--status", check=False)
    before = time.time()
    launch(run, "ray", "--samplers", "4", "--workers", "2", f'address="{ray.address}"')
    run.event("host_joined", before)
    assert run.end() == expected

"""Runs over OpenSSH's own server: with samplers that collect, and with stand-ins where connections are what matters."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ssh_server
from processes import alive, wait_for
from spying import files_that_show, processes_that_show
from ssh_server import ADDRESS, Server
from stub_sampler import Stub

from framework.errors import RunError
from framework.runtime.launch.launch import Launch
from framework.runtime.link.keys import Keys
from framework_ssh import remote
from measure import fleet as fleets
from measure.fleet import Fleet, run_alone, write_pipeline
from measure.network import Network, possible
from measure.proxied import Proxied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(ssh_server.missing() is not None, reason=ssh_server.missing() or ""),
]
UPDATES, STEP_SECONDS = 30, 0.002
NAMES = [f"ssh-{number}-{ADDRESS}" for number in (0, 1)]


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path / "stub")


@pytest.fixture
def server(tmp_path: Path, stub: Stub) -> Iterator[Server]:
    """A machine with stand-ins for samplers."""
    variables = {"PATH": f"{stub.bin}:{os.environ['PATH']}", "STUB": str(stub.folder)}
    with ssh_server.ssh_server(tmp_path / "server", **variables) as server:
        yield server


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run that listens, as far as its directory goes; its launches end with the test."""
    run = tmp_path / "runs" / "pong"
    run.mkdir(parents=True)
    Keys(run, create=True).listening(["tcp://127.0.0.1:1"])
    yield run
    stop(run)


def stop(run: Path) -> None:
    for launch in Launch.started(run):
        launch.stop()


def launch(run: Path, server: Server, **options: Any) -> Launch:
    """On this machine, unless told otherwise."""
    table = {"use": "ssh", "samplers": 2, "hosts": [ADDRESS], "options": server.options}
    return Launch(run, table | options, "launcher", run)


def keeper_of(run: Path) -> psutil.Process:
    return psutil.Process(int((run / "launch" / "ssh" / "lock").read_text().split()[1]))


def client_of(run: Path, name: str) -> psutil.Process:
    """The ssh of a host."""
    return next(child for child in keeper_of(run).children() if f"--name {name} " in " ".join(child.cmdline()))


def agents(name: str) -> list[psutil.Process]:
    """The processes of ``framework sampler`` of this name."""
    words = ["framework", "sampler", "--join", "-"]
    samplers = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if name in line and all(word in line for word in words):
            samplers.append(process)
    return samplers


def tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


# --- whole runs --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the undisturbed run comes to, on this machine alone."""
    return run_alone(tmp_path_factory.mktemp("alone"), UPDATES)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A machine with real samplers, and a port for the learner."""
    with socket.create_server((ADDRESS, 0)) as free:
        monkeypatch.setattr(fleets, "PORT", free.getsockname()[1])
    with ssh_server.ssh_server(tmp_path / "server", STEP_SECONDS=str(STEP_SECONDS)) as server:
        yield server


def learner(folder: Path, *overrides: str) -> Fleet:
    """A run of which all samplers are elsewhere."""
    pipeline = write_pipeline(folder, UPDATES)
    return Fleet(Proxied([fleets.LEARNER]), folder, pipeline, *overrides, step_seconds=STEP_SECONDS)


PROGRAM = [sys.executable, "-P", "-m", "framework"]


def test_a_pipeline_may_name_it(machine: Server, expected: dict[str, str], tmp_path: Path) -> None:
    """Then the learner has the samplers started, and ends them; it comes to the same, bit for bit."""
    options = {"samplers": 2, "workers": 2, "hosts": [ADDRESS], "options": machine.options, "program": PROGRAM}
    table = ", ".join(f"{name} = {json.dumps(value)}" for name, value in {"use": "ssh", **options}.items())
    with learner(tmp_path / "run", f"runtime.launcher={{ {table} }}") as fleet:
        fleet.event("launched", 0.0)
        assert fleet.end() == expected
        assert not (fleet.directory / "launch" / "ssh").exists()
        assert agents(NAMES[0]) == []


def test_a_run_whose_hosts_are_killed_comes_to_the_same(
    machine: Server, expected: dict[str, str], tmp_path: Path
) -> None:
    """A sampler on the other machine, and an ssh: they are replaced within seconds, and nobody is left behind."""
    with learner(tmp_path / "run") as fleet:
        started = launch(fleet.directory, machine, program=PROGRAM, directory=str(tmp_path / "run"))
        try:
            started.start()
            fleet.reach(8)
            token = (fleet.directory / "launch" / "ssh" / "token").read_text().strip()
            assert processes_that_show(token) == []
            assert files_that_show(fleet.directory, token) == ["launch/ssh/token"]
            for name, status in ((NAMES[0], 128 + signal.SIGKILL), (NAMES[1], -signal.SIGKILL)):
                (agent,) = agents(name)
                processes = tree(agent)
                victim, struck = agent if status > 0 else client_of(fleet.directory, name), time.time()
                victim.kill()
                wait_for(lambda processes=processes: not any(map(alive, processes)), seconds=10)
                ended = time.time() - struck
                # The first second of the keeper's pause, and the start of Python with torch.
                joined = fleet.event("sampler_joined", struck)["at"] - struck
                print(f"{status} killed: nobody left after {ended:.2f} s, collecting after {joined:.2f} s")
                assert ended < 5
                assert joined < 20
                assert len(agents(name)) == 1
                assert {host.name: host.status for host in started.status()}[name] == status
                fleet.reach(fleet.updates + 4)
            assert fleet.end() == expected
            wait_for(lambda: {(host.state, host.status) for host in started.status()} == {("ended", 0)}, seconds=20)
        finally:
            stop(fleet.directory)


def test_stop_ends_all_of_it(machine: Server, tmp_path: Path) -> None:
    """In the midst of a run: hosts, samplers, ssh and the process that keeps them."""
    with learner(tmp_path / "run") as fleet:
        started = launch(fleet.directory, machine, program=PROGRAM)
        try:
            started.start()
            fleet.reach(3)
            kept = keeper_of(fleet.directory)
            processes = {member for root in (kept, *map(_agent, NAMES)) for member in tree(root)}
            assert len(processes) >= 1 + 2 + 2 * 3
            began = time.monotonic()
            started.stop()
            stopped = time.monotonic() - began
            wait_for(lambda: not any(map(alive, processes)), seconds=5)
            print(f"stopped after {stopped:.2f} s, nobody left after {time.monotonic() - began:.2f} s")
            assert stopped < 10
        finally:
            stop(fleet.directory)


def _agent(name: str) -> psutil.Process:
    (agent,) = agents(name)
    return agent


# --- connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["client", "keeper", "connection", "program"])
def test_who_is_cut_off_ends(server: Server, stub: Stub, run: Path, victim: str) -> None:
    """Soon after ssh, what keeps it, the server's end of the connection or the program that has started it was killed.

    Another takes its place.
    """
    started = launch(run, server, samplers=1)
    started.start()
    sampler = stub.process(NAMES[0])
    stub.forget(NAMES[0])
    struck = time.monotonic()
    if victim == "client":
        client_of(run, NAMES[0]).kill()
    elif victim == "keeper":
        keeper_of(run).kill()
    elif victim == "connection":
        server.cut()
    else:
        sampler.parent().kill()
    wait_for(lambda: not alive(sampler), seconds=5)
    print(f"{victim} killed: nobody left after {time.monotonic() - struck:.2f} s")
    if victim == "keeper":
        started.start()
    assert stub.process(NAMES[0]) != sampler


def test_a_server_that_comes_back_has_its_hosts_again(server: Server, stub: Stub, run: Path) -> None:
    """As after a restart of the machine; meanwhile ssh's own words are in the log."""
    started = launch(run, server, samplers=1)
    started.start()
    sampler = stub.process(NAMES[0])
    stub.forget(NAMES[0])
    server.stop()
    wait_for(lambda: not alive(sampler), seconds=5)
    wait_for(lambda: (host := started.status()[0]).starts >= 2 and host.state == "waiting", seconds=20)
    assert started.status()[0].status == 255
    assert f"connect to host {ADDRESS} port {server.port}: Connection refused" in (run / "launch/ssh/log").read_text()
    server.start()
    assert alive(stub.process(NAMES[0]))


def test_reasons_are_sshs_own(server: Server, run: Path, tmp_path: Path) -> None:
    """Where a key is not known, either way, or nobody listens: at once."""
    without_key = [word for word in server.options if word not in ("-i", str(tmp_path / "server" / "user_key"))]
    cases = {
        "Host key verification failed": ["-o", "UserKnownHostsFile=/dev/null", *server.options],
        r"Permission denied \(publickey\)": ["-i", "/dev/null", *without_key],
        "Connection refused": ["-F", "none", "-p", "1"],
    }
    for message, options in cases.items():
        began = time.monotonic()
        with pytest.raises(RunError, match=message):
            launch(run, server, options=options).start()
        assert time.monotonic() - began < 5
    assert not (run / "launch" / "ssh").exists()


@pytest.mark.skipif(not possible(), reason="needs root, ip and /dev/net/tun")
def test_who_is_lost_without_a_word_ends_too(
    stub: Stub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no packet comes through, ssh gives up; its sampler ends when they do again, and there is one in the end."""
    monkeypatch.setattr(remote, "ALIVE", 1)
    variables = {"PATH": f"{stub.bin}:{os.environ['PATH']}", "STUB": str(stub.folder)}
    with (
        Network(["learner", "node"]) as network,
        ssh_server.ssh_server(tmp_path / "server", network.addresses["node"], network, **variables) as server,
    ):
        # Its end of the connection is forgotten before the network is back, as where it was restarted.
        forget = ["sysctl", "-qw", "net.ipv4.tcp_orphan_retries=1"]
        subprocess.run(network.inside("learner", forget), check=True)
        table = {
            "ssh": network.inside("learner", ["ssh"]),
            "hosts": [server.address],
            "options": [*server.options, "-o", "ServerAliveInterval=1", "-o", "ConnectTimeout=2"],
        }
        started = launch(run, server, samplers=1, **table)
        try:
            started.start()
            name = f"ssh-0-{server.address}"
            sampler = stub.process(name)
            stub.forget(name)
            time.sleep(1.0)  # nothing is on its way to be delivered late
            network.away.add("node")
            lost = time.monotonic()
            wait_for(lambda: started.status()[0].status == 255, seconds=20)
            noticed = time.monotonic() - lost
            wait_for(lambda: started.status()[0].starts >= 3, seconds=30)
            assert alive(sampler)  # nobody could tell it
            network.away.clear()
            back = time.monotonic()
            wait_for(lambda: not alive(sampler), seconds=20)
            print(
                f"noticed after {noticed:.1f} s; nobody left {time.monotonic() - back:.1f} s after the network was back"
            )
            assert alive(stub.process(name))
        finally:
            stop(run)

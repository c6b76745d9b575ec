from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fake_ssh
import psutil
import pytest
from processes import alive, wait_for
from spying import files_that_show, processes_that_show
from stub_sampler import Stub

from framework.errors import PipelineError, RunError
from framework.interfaces import HostStatus
from framework.runtime.launch.launch import Launch
from framework.runtime.link.keys import Keys
from framework.runtime.link.token import JoinToken
from framework.toolkit import keeper

HOSTS = ["node1", "user@node2"]


class Place:
    """A run that listens, and machines that a stand-in for ssh reaches."""

    def __init__(self, folder: Path):
        self.run = folder / "runs" / "pong"
        self.run.mkdir(parents=True)
        Keys(self.run, create=True).listening(["tcp://127.0.0.1:1"])
        self.stub = Stub(folder / "stub")
        fake_ssh.install(self.stub.bin)

    def launch(self, **options: Any) -> Launch:
        return Launch(self.run, {"use": "ssh", "samplers": 3, "hosts": HOSTS, **options}, "launcher", self.run)

    @property
    def folder(self) -> Path:
        return self.run / "launch" / "ssh"

    def ssh(self, name: str) -> psutil.Process:
        """The client of a host: that child of the keeper whose command has the host's name."""
        keeper_process = int((self.folder / "lock").read_text().split()[1])
        clients = psutil.Process(keeper_process).children()
        return next(client for client in clients if f"--name {name} " in " ".join(client.cmdline()))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(tmp_path)
    monkeypatch.setenv("PATH", f"{place.stub.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB", str(place.stub.folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    monkeypatch.setattr(keeper, "MODULE", "quick_keeper")
    yield place
    for launch in Launch.started(place.run):
        launch.stop()
    wait_for(lambda: not place.stub.left, seconds=5)


def states(launch: Launch) -> Mapping[str, tuple[str, int | None]]:
    return {host.name: (host.state, host.status) for host in launch.status()}


def test_the_plan_is_commands(place: Place) -> None:
    """One for each host, on the machines in turn, to be pasted into a shell; nothing is started."""
    launch = place.launch(samplers=6, workers=2, options=["-p", "22"], program=["python3", "-m", "framework"])
    lines = launch.plan().splitlines()
    assert lines[0] == "# A host ends when the standard input of its ssh does."
    assert lines[1::2] == ["# ssh-0-node1 on node1", "# ssh-1-node2 on user@node2", "# ssh-2-node1 on node1"]
    assert lines[2].startswith(
        f"cat {place.folder}/token - | ssh -p 22 -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5"
        " -o ServerAliveCountMax=3 -o ControlMaster=no -T node1 'exec sh -c '"
    )
    assert " python3 -m framework sampler --join - --workers 2 --name ssh-0-node1 " in lines[2]
    assert not place.folder.exists()


def test_the_plan_works_by_hand(place: Place) -> None:
    """Typed into a shell, each line is a host that ends with the end of its input."""
    command = place.launch(samplers=1).plan().splitlines()[2]
    place.folder.mkdir(parents=True)
    (place.folder / "token").write_text("by-hand\n")
    process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE)
    assert place.stub.noted("ssh-0-node1", "token") == "by-hand"
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 75


def test_hosts_are_started_counted_and_stopped(place: Place) -> None:
    """On their machines, with the token of a key of their own, which is gone with them."""
    launch = place.launch()
    launch.start()
    names = {"ssh-0-node1": "node1", "ssh-1-node2": "user@node2", "ssh-2-node1": "node1"}
    for name, machine in names.items():
        assert f"SSH_PLACE={machine}" in place.stub.noted(name, "env").splitlines()
        assert place.stub.noted(name, "arguments") == f"sampler --join - --workers 1 --name {name}"
        assert place.stub.noted(name, "token") == (place.folder / "token").read_text().strip()
    assert launch.status() == [HostStatus(name, "running", machine, None, 1) for name, machine in names.items()]
    assert JoinToken.read(str(place.folder / "token")).name == "ssh-1"
    launch.stop()
    assert place.stub.left == []
    assert not place.folder.exists()
    assert Keys(place.run).clients()["ssh-1"]["revoked"]


def test_their_number_changes(place: Place) -> None:
    """The hosts that stay are the same processes."""
    place.launch().start()
    first, *others = (place.stub.process(name) for name in ("ssh-0-node1", "ssh-1-node2", "ssh-2-node1"))
    place.stub.forget("ssh-1-node2")
    place.launch(samplers=1).start()
    wait_for(lambda: not any(map(alive, others)))
    place.launch(samplers=2).start()
    second = place.stub.process("ssh-1-node2")
    assert states(place.launch()) == {"ssh-0-node1": ("running", None), "ssh-1-node2": ("running", None)}
    assert alive(first)
    assert alive(second)


def test_hosts_that_end_are_started_again(place: Place) -> None:
    """Where the sampler was killed, and where ssh was: then the sampler ends before another takes its place."""
    launch = place.launch(samplers=1)
    launch.start()
    name = "ssh-0-node1"
    for status in (128 + signal.SIGKILL, -signal.SIGKILL):
        before = place.stub.process(name)
        place.stub.forget(name)
        struck = time.monotonic()
        (before if status > 0 else place.ssh(name)).kill()
        assert place.stub.process(name) != before
        wait_for(lambda before=before: not alive(before), seconds=1)
        assert time.monotonic() - struck < 3
        assert states(launch) == {name: ("running", status)}
    assert launch.status()[0].starts == 3


def test_ends_are_told(place: Place) -> None:
    """The exit code is the sampler's, through ssh; who is done, or not let in, stays away."""
    codes = {f"ssh-{number}-node1": code for number, code in enumerate((0, 77, 78, 70))}
    for name, code in codes.items():
        (place.stub.folder / f"{name}.exits").write_text(str(code))
    launch = place.launch(samplers=4, hosts=["node1"])
    launch.start()
    wait_for(lambda: launch.status()[-1].starts >= 3)
    wait_for(lambda: {host.name: host.status for host in launch.status()} == codes)
    assert [(host.state, host.starts) for host in launch.status()[:3]] == [("ended", 1)] * 3


def test_a_machine_that_cannot_be_reached_is_told(place: Place) -> None:
    """In the status, by ssh's exit code, and in the log, in its words; the others collect."""
    launch = place.launch(hosts=["node1", "down"])
    launch.start()
    place.stub.process("ssh-0-node1")
    wait_for(lambda: launch.status()[1].status == 255)
    assert states(launch)["ssh-0-node1"] == ("running", None)
    log = (place.folder / "log").read_text()
    assert "ssh: connect to host down port 22: Connection refused\n" in log
    assert "ssh-1-down on down has ended with exit code 255: it is started again in" in log


def test_where_none_can_be_reached_nothing_is_started(place: Place) -> None:
    """And no key is left."""
    started = time.monotonic()
    with pytest.raises(RunError, match=r"no machine can be reached with ssh:\ndown: ssh: connect to host down port 22"):
        place.launch(hosts=["down"]).start()
    assert time.monotonic() - started < 5
    assert not place.folder.exists()
    assert Keys(place.run).clients()["ssh-1"]["revoked"]


def test_without_ssh_nothing_is_started(place: Place) -> None:
    """It is said what is missing."""
    with pytest.raises(RunError, match="no-ssh cannot be started: No such file or directory; install an ssh client"):
        place.launch(ssh=["no-ssh"]).start()
    assert not place.folder.exists()


def test_nobody_sees_the_token(place: Place) -> None:
    """Not in the arguments or the environment of any process, nor in any file of the run but its own."""
    launch = place.launch(setup=["set -x", "export token=x", "set -a"])
    launch.start()
    for number, machine in enumerate(("node1", "node2", "node1")):
        place.stub.process(f"ssh-{number}-{machine}")
    token = (place.folder / "token").read_text().strip()
    secret = JoinToken.parse(token).secret
    place.ssh("ssh-0-node1").kill()
    wait_for(lambda: launch.status()[0].starts == 2)
    for text in (token, secret):
        assert processes_that_show(text) == []
    assert files_that_show(place.run, token) == ["launch/ssh/token"]
    assert files_that_show(place.run, secret) == []
    assert (place.folder / "token").stat().st_mode & 0o777 == 0o600
    assert token not in launch.plan()


def test_hosts_end_with_the_process_that_keeps_them(place: Place) -> None:
    """Where that is killed, on their machines too; when it is asked for again, they are there again."""
    launch = place.launch(samplers=2)
    launch.start()
    names = ("ssh-0-node1", "ssh-1-node2")
    before = [place.stub.process(name) for name in names]
    for name in names:
        place.stub.forget(name)
    os.kill(int((place.folder / "lock").read_text().split()[1]), signal.SIGKILL)
    wait_for(lambda: not any(map(alive, before)), seconds=2)
    with pytest.raises(RunError, match="has ended"):
        launch.status()
    launch.start()
    assert all(alive(place.stub.process(name)) for name in names)


def test_options_are_checked(place: Place) -> None:
    """Before anything is started, by their place."""
    with pytest.raises(PipelineError, match=r"launcher\.hosts: must be machines"):
        place.launch(hosts=["-oProxyCommand=x"])
    with pytest.raises(PipelineError, match=r"launcher\.hosts: missing: Machines, as ssh knows them"):
        Launch(place.run, {"use": "ssh"}, "launcher", place.run)

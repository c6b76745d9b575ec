"""What strangers, and holders of a join key that mean harm, can do to a learner that listens: nothing to its run."""

from __future__ import annotations

import itertools
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attack
import psutil
import pytest
import runs
import zmq
from attrs import evolve
from dispatching import COMPONENTS
from listening import SPECIFICATION, Learner
from processes import wait_for
from raw_host import RawHost
from raw_peer import RawPeer

from framework.exit_codes import TRY_AGAIN
from framework.runtime.data.fingerprint import versions
from framework.runtime.link import membership
from framework.runtime.link.address import host_and_port
from framework.runtime.link.event_limit import BURST
from framework.runtime.link.keys import FILE
from framework.runtime.link.token import JoinToken

ESCAPE = "\x1b]0;owned\x07\ud800"


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    learner = Learner(tmp_path)
    yield learner
    learner.close()


def nested(depth: int) -> bytes:
    """A hello whose protocol is a list of lists of lists."""
    return b"\x82\xa4type\xa5hello\xa8protocol" + b"\x91" * depth + b"\xc0"


def differing() -> dict[str, str]:
    """As many components as a header can hold."""
    return {f"c{number}": "" for number in range(4000)}


HELLOS: dict[str, dict[str, Any]] = {
    "session": {"session": ESCAPE},
    "long session": {"session": "s" * 60_000},
    "name": {"sampler": ESCAPE},
    "long name": {"sampler": "s" * 60_000},
    "versions": {"versions": differing()},
    "escaping versions": {"versions": {**versions(), ESCAPE: ESCAPE, "framework": ESCAPE, "processor": f"x {ESCAPE}"}},
}


@pytest.mark.parametrize("changes", HELLOS.values(), ids=HELLOS)
def test_a_sampler_that_is_no_good(learner: Learner, changes: dict[str, Any]) -> None:
    """Its host is refused, in a few printable words, and the run goes on."""
    with RawHost(learner.token) as host:
        assert host.enter().type == "entered"
        host.hello(**changes)
        assert host.receive().type == "reject"
        learner.goes_on()
        (refused,) = [event for event in learner.events if event.name == "host_refused"]
        assert len(refused.fields["reason"]) < 5000
        assert refused.fields["reason"].isprintable()


@pytest.mark.parametrize("frames", [[nested(1010)], [nested(500)], [b"\xc1"], [], [b""] * 5, [b"x" * 70_000]])
def test_garbage_of_who_has_a_key(learner: Learner, frames: list[bytes]) -> None:
    """Is refused."""
    with RawHost(learner.token) as host:
        host.socket.send_multipart([b"", *frames])
        assert host.receive().type == "reject"
        learner.goes_on()


def test_components_that_differ_by_the_thousand(learner: Learner) -> None:
    """The reason names some of them."""
    with RawHost(learner.token) as host:
        host.enter()
        host.hello()
        assert host.receive().type == "welcome"
        host.send("ready", None, (b"host/0",), specification="", components=differing())
        assert host.receive().type == "reject"
        learner.goes_on()


def test_what_a_failing_sampler_says_is_made_harmless(learner: Learner) -> None:
    """And cut to a length."""
    with RawHost(learner.token) as host:
        host.enter()
        host.hello()
        host.send("failed", None, (b"host/0",), message=ESCAPE + "m" * 9000, traceback=ESCAPE)
        learner.goes_on()
        (failed,) = [event for event in learner.events if event.name == "sampler_failed"]
        assert len(failed.fields["message"]) <= 2000
        assert failed.fields["message"].isprintable()


# Keys.


def refused(learner: Learner, token: JoinToken, pair: tuple[bytes, bytes] | None = None) -> None:
    """Who connects with these keys is not let in: nothing that it sends is looked at."""
    heard: list[Any] = []
    receive = learner.server._dispatcher.receive
    learner.server._dispatcher.receive = lambda *message: heard.append(message) or receive(*message)  # type: ignore[method-assign, assignment, func-returns-value]
    with RawHost(token, pair) as stranger:
        for _ in range(10):
            stranger.socket.send_multipart([b"", b"nonsense"])
        assert not stranger.socket.poll(300)
        learner.goes_on()
    learner.server._dispatcher.receive = receive  # type: ignore[method-assign]
    assert [len(way) for way, _, key in heard if key] == []


def test_who_has_no_valid_key_is_not_heard(learner: Learner) -> None:
    """A wrong one, one of another learner, one that was revoked, one that has expired."""
    token = learner.token
    refused(learner, token, zmq.curve_keypair())
    refused(learner, evolve(token, server=zmq.curve_keypair()[0].decode()))
    refused(learner, learner.keys.issue("late", expires=timedelta(seconds=-1)))
    learner.keys.revoke("join")
    refused(learner, token)
    refused(learner, evolve(token, secret=zmq.curve_keypair()[1].decode()))


def test_who_does_without_keys_is_not_heard(learner: Learner) -> None:
    """Not by ZeroMQ without encryption, nor by anything else that speaks TCP."""
    with RawPeer(learner.token.endpoints[-1]) as plain:
        plain.hello()
        assert not plain._socket.poll(300)
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000, b""):
        with socket.create_connection(host_and_port(learner.token.endpoints[-1])) as stranger:
            stranger.sendall(nonsense)
    learner.goes_on()
    assert learner.names() == ["sampler_joined"]


def test_sessions_belong_to_keys(learner: Learner) -> None:
    """Who has another key of the run cannot go on with what a host has begun, nor a host with a sampler's session."""
    thief_token = learner.keys.issue("thief")
    with RawHost(learner.token) as host, RawHost(thief_token) as thief:
        assert host.enter("a session").type == "entered"
        assert thief.enter("a session")["reason"] == "the session belongs to another host"
    with RawHost(thief_token) as thief:
        assert thief.enter("another").type == "entered"
        thief.hello(session=f"session {id(learner._honest)}", sampler="sampler-0", process=1)
        assert thief.receive()["reason"] == "the session belongs to another sampler"
    learner.goes_on()


def test_keys_that_cannot_be_read_let_nobody_in(learner: Learner) -> None:
    """And end no run: who is in stays."""
    token = learner.token
    with RawHost(token) as inside, RawHost(learner.keys.issue("late")) as outside:
        monitor = outside.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert inside.enter().type == "entered"
        assert monitor.poll(5000)
        (learner.keys.directory / FILE).rename(learner.keys.directory / "away")
        assert outside.enter()["reason"] == "the learner cannot read its keys"
        inside.send("alive")
        assert inside.receive().type == "alive"
        outside.socket.disable_monitor()
        monitor.close()
        learner.server._mailbox.ask(lambda: learner.server._look(time.monotonic()))
        learner.goes_on()


# What can be held.


def test_all_descriptors_are_used(tmp_path: Path) -> None:
    """Those that a process may have, not those that it usually has: connections of strangers take some."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
    learner = Learner(tmp_path)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    learner.close()


def test_the_number_of_hosts_is_limited(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more may try again later."""
    monkeypatch.setattr(membership, "HOST_LIMIT", 1)
    with RawHost(learner.token) as first, RawHost(learner.token) as second:
        assert first.enter(name="first").type == "entered"
        reject = second.enter(name="second")
        assert (reject["reason"], reject["status"]) == ("1 hosts have joined, and no more can", TRY_AGAIN)
        learner.goes_on()


def test_weights_on_their_way_are_not_sent_again(learner: Learner) -> None:
    """However often they are asked for, until the host says that it has them."""
    with RawHost(learner.token) as host:
        host.enter()
        host.hello()
        host.send("ready", None, (b"host/0",), specification=SPECIFICATION.fingerprint, components=COMPONENTS)
        for _ in range(50):
            host.send("pull", None, (b"host/0",), version=0)
        host.send("alive")
        kinds = []
        while (message := host.receive()).type != "alive":
            kinds.append(message.type)
        assert kinds.count("weights") == 1
        host.send("have", version=0)
        host.send("pull", None, (b"host/0",), version=0)
        while host.receive().type != "weights":
            pass
        learner.goes_on()


# Floods.


def start(name: str, token: JoinToken, count: int, hold: bool) -> subprocess.Popen[bytes]:
    """One of `attack`, in a process of its own."""
    command = [sys.executable, str(Path(attack.__file__)), name, str(token), str(count), *(["hold"] if hold else [])]
    environment = os.environ | {"PYTHONPATH": str(Path(attack.__file__).parent)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class Attack:
    """An attack, and the peak of this process's memory meanwhile."""

    def __init__(self, name: str, learner: Learner, count: int, hold: bool):
        self._learner = learner
        self._process = start(name, learner.token, count, hold)
        self._memory = psutil.Process()
        self._before = self._memory.memory_info().rss
        self.grown = 0  #: bytes
        self.slowest = 0.0  #: seconds that an update took

    def watch(self, updates: int = 5) -> str:
        """The run goes on until the attack is over, at least so many updates; returns what the attack has done."""
        assert self._process.stdout is not None
        for number in itertools.count():
            started = time.monotonic()
            self._learner.goes_on()
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.grown = max(self.grown, self._memory.memory_info().rss - self._before)
            if number >= updates and select.select([self._process.stdout], [], [], 0.005)[0]:
                break
        return self._process.stdout.readline().decode().strip()

    def end(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


#: Attacks, how often in a default run and in a long one, and megabytes that the learner may grow by.
FLOODS = [
    ("connect", 200, 10_000, 300),
    ("frames_before", 5_000, 1_000_000, 50),
    ("frames_after", 3_000, 1_000_000, 100),
    ("polite", 3_000, 1_000_000, 100),
    ("unread", 200, 4_000, 300),
]


@pytest.mark.parametrize(
    ("name", "count", "megabytes"),
    [(name, count, megabytes) for name, count, _, megabytes in FLOODS]
    + [pytest.param(name, most, megabytes, marks=pytest.mark.slow) for name, _, most, megabytes in FLOODS],
)
def test_floods_change_nothing(learner: Learner, name: str, count: int, megabytes: int) -> None:
    """Updates go on meanwhile, none is held up for long, and memory stays within bounds."""
    flood = Attack(name, learner, count, hold=name in ("connect", "unread"))
    done = flood.watch()
    flood.end()
    learner.goes_on()
    print(f"{name}: {done}; {flood.grown / 1e6:.0f} MB, slowest update {flood.slowest:.2f} s")
    assert flood.grown < megabytes * 1e6
    assert flood.slowest < 5
    learner.hear()
    assert len(learner.events) <= BURST + 100
    assert ("host_refused" in learner.names()) == (name == "frames_after")


@pytest.mark.slow
def test_a_run_under_attack_learns_the_same(tmp_path: Path) -> None:
    """Bit for bit what an undisturbed one does, and saves its checkpoints."""
    pipeline = runs.write(tmp_path)
    reference = runs.run(pipeline, tmp_path / "reference", runtime__samplers=0, run__total_steps=16_384)
    arguments = ["run", str(pipeline), "run.total_steps=16384", "runtime.samplers=1", "--listen", "127.0.0.1:0"]
    learner = subprocess.Popen([*runs.FRAMEWORK, *arguments, "--runs", str(tmp_path / "attacked")])
    join = wait_for(lambda: list((tmp_path / "attacked").glob("*/join")))[0]
    token = JoinToken.read(str(join))
    attackers = [start(name, token, 10**7, True) for name in ("connect", "frames_before", "frames_after", "unread")]
    assert learner.wait(timeout=100) == 0
    for attacker in attackers:
        attacker.kill()
        attacker.communicate()
    runs.assert_equal_runs(reference, join.parent)
    assert runs.events(join.parent, "host_refused")
    assert not runs.events(join.parent, "checkpoint_failed")

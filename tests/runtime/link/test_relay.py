import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from processes import wait_for
from raw_learner import RawLearner
from raw_peer import RawPeer

from framework.errors import RunError
from framework.exit_codes import ENVIRONMENT_FAILED, NOT_LET_IN, WRONG_VERSION
from framework.runtime.link import relay as module
from framework.runtime.link import wire
from framework.runtime.link.client import LearnerSilent, Rejected, Stopped
from framework.runtime.link.relay import HostFailed, Relay
from framework.runtime.link.source import Event, Failure
from framework.runtime.link.token import JoinToken

SERVER, CLIENT = zmq.curve_keypair(), zmq.curve_keypair()
WEIGHTS = {"weights": np.arange(8, dtype=np.uint8)}


class Host:
    """A relay at work in a thread, its learner, and its samplers, of which every message is made by the test."""

    def __init__(self, folder: Path, patience: float = 60.0):
        self._folder = folder
        self._peers: list[RawPeer] = []
        keys = [key.decode() for key in (SERVER[0], *CLIENT)]
        self.learner = self._learner()
        token = JoinToken("join", "run", (f"ipc://{folder}/learner",), *keys)
        self.relay = Relay(f"ipc://{folder}/link", token, "a host", 2, patience)
        self.told: list[Event] = []
        self.end: BaseException | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _learner(self) -> RawLearner:
        return RawLearner(f"ipc://{self._folder}/learner", SERVER)

    def _work(self) -> None:
        try:
            self.relay.enter()
            while True:
                self.told.append(self.relay.serve())
        except BaseException as end:
            self.end = end

    def let_in(self, known: bool = False, kept_versions: int = 1) -> tuple[bytes, ...]:
        """Have the learner answer the host; returns the way to it."""
        message = self.learner.receive()
        assert message.type == "enter"
        self.learner.send("entered", name="a-host", known=known, kept_versions=kept_versions)
        return self.learner.way

    def sampler(self, name: str = "a-host/0") -> tuple[RawPeer, tuple[bytes, ...]]:
        """A sampler that has said hello, and the way to it."""
        peer = RawPeer(f"ipc://{self._folder}/link").__enter__()
        self._peers.append(peer)
        peer.hello(name)
        assert self.learner.receive()["sampler"] == name
        return peer, self.learner.way

    def keep(self, way: tuple[bytes, ...], version: int) -> None:
        """Send weights to the host, which says that it has them."""
        self.learner.send("weights", WEIGHTS, way, version=version)
        have = self.learner.receive()
        assert (have.type, have["version"]) == ("have", version)

    def leave_alone(self) -> None:
        """Have the learner end; the relay has noticed."""
        self.learner.close()
        wait_for(lambda: not self.relay._uplink._established)

    def come_back(self) -> None:
        """Have a learner be there again."""
        self.learner = self._learner()

    def ended(self) -> BaseException:
        """What the relay has raised."""
        self._thread.join(timeout=10)
        assert self.end is not None, "it goes on"
        return self.end

    def close(self) -> None:
        for peer in self._peers:
            peer.__exit__()
        if self.end is None:
            self.relay._mailbox.command(_stop)
        self.ended()
        self.relay.leave()
        self.relay.close()
        self.learner.close()


def _stop() -> None:
    raise Stopped


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(module, "_LOOK", 0.02)
    monkeypatch.setattr(module, "_LINGER", 0)
    host = Host(tmp_path)
    yield host
    host.close()


def received(peer: RawPeer) -> wire.Message:
    """The next message but pings."""
    while (message := peer.receive()).type == "ping":
        pass
    return message


def types(peer: RawPeer, count: int) -> list[str]:
    return [received(peer).type for _ in range(count)]


def direct(host: Host, way: tuple[bytes, ...], version: int) -> None:
    host.learner.send("directive", None, way, shard=0, number=0, version=version, restore=False)


# Messages.


def test_messages_pass_both_ways_unchanged(host: Host) -> None:
    """Byte for byte; the envelope names the host's connection, and the sampler's behind it."""
    way = host.let_in()
    peer, to_sampler = host.sampler()
    assert to_sampler[:1] == way
    assert len(to_sampler) == 2
    arrays = {"a": np.arange(100_000.0), "empty": np.zeros((0, 3), np.float32)}
    fields = {"shard": 0, "number": 1, "version": 2, "timing": [0.0, 1.0, 2.0]}
    peer.send("trajectory", arrays, **fields)
    assert host.learner.frames() == [bytes(frame) for frame in wire.encode("trajectory", arrays, **fields)]
    assert host.learner.way == to_sampler
    host.learner.send("welcome", arrays, directory="/folder", ready=True)
    welcome = received(peer)
    assert dict(welcome.fields) == {"directory": "/folder", "ready": True}
    assert {name: array.tolist() for name, array in welcome.arrays.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_weights_come_once_and_before_the_directives(host: Host) -> None:
    """Each sampler is handed them once, before the first directive that names their version."""
    way = host.let_in()
    samplers = [host.sampler(f"a-host/{number}") for number in range(2)]
    host.keep(way, 0)
    for peer, to_sampler in samplers:
        direct(host, to_sampler, 0)
        direct(host, to_sampler, 0)
        weights = received(peer)
        assert (weights.type, weights["version"]) == ("weights", 0)
        assert weights.arrays["weights"].tolist() == list(range(8))
        assert types(peer, 2) == ["directive", "directive"]


def test_pulls_are_answered_or_passed_on(host: Host) -> None:
    """What the host has the learner is not asked for; what it has not is handed on as soon as it comes."""
    way = host.let_in()
    peer, _ = host.sampler()
    host.keep(way, 0)
    peer.send("pull", version=0)
    assert received(peer)["version"] == 0
    peer.send("pull", version=1)
    pull = host.learner.receive()
    assert (pull.type, pull["version"]) == ("pull", 1)
    host.keep(way, 1)
    assert received(peer)["version"] == 1


def test_old_versions_are_dropped(host: Host) -> None:
    """As many are kept as the learner says that samplers may ask for."""
    way = host.let_in(kept_versions=1)
    peer, _ = host.sampler()
    for version in (3, 4, 5):
        host.keep(way, version)
    for version, kept in ((3, False), (4, True), (5, True)):
        peer.send("pull", version=version)
        assert (received(peer) if kept else host.learner.receive())["version"] == version


def test_weights_may_follow_the_answer_at_once(host: Host) -> None:
    """How many are kept holds from the answer on, however many messages are read in one go."""
    assert host.learner.receive().type == "enter"
    host.learner.send("entered", name="a-host", known=False, kept_versions=2)
    for version in range(3):
        host.learner.send("weights", WEIGHTS, version=version)
    assert [host.learner.receive()["version"] for _ in range(3)] == [0, 1, 2]
    peer, _ = host.sampler()
    peer.send("pull", version=0)
    assert received(peer)["version"] == 0


# Connections.


@pytest.mark.parametrize("known", [True, False])
def test_after_a_reconnection_everybody_is_asked_who(host: Host, known: bool) -> None:
    """Weights are of use only to the learner that they came from: another one does not know this host."""
    way = host.let_in()
    samplers = [host.sampler(f"a-host/{number}") for number in range(2)]
    host.keep(way, 0)
    host.leave_alone()
    host.come_back()
    host.let_in(known=known)
    for peer, _ in samplers:
        assert received(peer).type == "who"
    peer, _ = samplers[0]
    peer.send("pull", version=0)
    assert (received(peer) if known else host.learner.receive())["version"] == 0


def test_who_is_asked_introduces_itself(host: Host) -> None:
    """To a learner that has forgotten it without losing the connection."""
    way = host.let_in()
    host.learner.send("who", None, way)
    assert host.learner.receive().type == "enter"


def test_departures_are_told_and_told_again(host: Host) -> None:
    """After a reconnection too, as nobody knows whether they had arrived."""
    way = host.let_in()
    _, to_sampler = host.sampler()
    host.learner.send("acknowledge", None, to_sampler, shard=0, number=0)
    wait_for(lambda: any(sampler.deliveries for sampler in host.relay._samplers.values()))
    assert host.relay.depart("a-host/0", 1, -9) == (0, False)
    assert host.relay.depart("a-host/0", 0, -9) == (1, False)
    first = host.learner.frames()
    assert host.learner.way == way
    assert wire.decode(first, limit=0)["status"] == -9
    host.leave_alone()
    host.come_back()
    host.let_in(known=True)
    assert host.learner.frames() == first


def test_a_sampler_with_two_connections_departs_as_a_whole(host: Host) -> None:
    """The local connection of one that was stopped for a while is another one afterwards."""
    host.let_in()
    peer, to_sampler = host.sampler()
    host.learner.send("acknowledge", None, to_sampler, shard=0, number=0)
    wait_for(lambda: any(sampler.deliveries for sampler in host.relay._samplers.values()))
    peer._socket.close()
    host.sampler()
    assert host.relay.depart("a-host/0", 0, 0) == (1, False)
    assert host.relay._samplers == {}


def test_samplers_hear_their_host_while_the_learner_is_away(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again: they wait as long as their host does."""
    host.let_in()
    peer, _ = host.sampler()
    monkeypatch.setattr(module, "_PING", 0.05)
    host.leave_alone()
    assert [peer.receive().type for _ in range(3)] == ["ping"] * 3


def test_nothing_is_kept_for_a_learner_that_is_away(host: Host) -> None:
    """Samplers send again what was not acknowledged; here it would only pile up."""
    host.let_in()
    peer, _ = host.sampler()
    host.leave_alone()
    for number in range(100):
        peer.send("trajectory", WEIGHTS, shard=0, number=number, version=0, timing=[])
    peer.hello("the last")
    wait_for(lambda: not host.relay._router.poll(0) and host.relay._samplers)
    time.sleep(0.1)
    host.come_back()
    host.let_in(known=True)
    assert received(peer).type == "who"
    assert not host.learner.hears(50)


# Ends.


def test_the_learner_says_stop(host: Host) -> None:
    """To the host, which ends."""
    way = host.let_in()
    host.learner.send("stop", None, way)
    assert isinstance(host.ended(), Stopped)


def test_the_learner_rejects_the_host(host: Host) -> None:
    """With a reason and an exit code, before it has let the host in and afterwards."""
    host.learner.receive()
    host.learner.send("reject", reason="versions differ", status=WRONG_VERSION)
    end = host.ended()
    assert isinstance(end, Rejected)
    assert (str(end), end.status) == ("versions differ", WRONG_VERSION)


def test_a_learner_that_stays_away_ends_the_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from the last word."""
    monkeypatch.setattr(module, "_LOOK", 0.02)
    host = Host(tmp_path, patience=0.3)
    host.let_in()
    host.leave_alone()
    started = time.monotonic()
    assert isinstance(host.ended(), LearnerSilent)
    assert 0.1 < time.monotonic() - started < 2
    host.close()


def test_news_of_the_supervisor_are_told(host: Host) -> None:
    """In their order."""
    host.let_in()
    host.relay.announce(Event("sampler_lost", {}), Event("sampler_replaced", {}))
    wait_for(lambda: len(host.told) == 2)
    assert [event.name for event in host.told] == ["sampler_lost", "sampler_replaced"]


def fail(host: Host, message: str, status: int, sampler: str = "a-host/0") -> None:
    """A sampler fails before it is ready."""
    peer, _ = host.sampler(sampler)
    peer.send("failed", message=message, traceback="")
    assert host.learner.receive().type == "failed"
    assert host.relay.depart(sampler, 0, status) == (0, bool(message))
    assert host.learner.receive().type == "departed"


def test_what_a_sampler_said_is_the_reason(host: Host) -> None:
    """Its last words, and the exit code of its process, where the supervisor gives up."""
    host.let_in()
    fail(host, "no plugin named atari", WRONG_VERSION)
    host.relay.announce(Failure("a-host/0 was not let in"))
    end = host.ended()
    assert isinstance(end, HostFailed)
    assert (str(end), end.status) == ("a-host/0 was not let in: no plugin named atari", WRONG_VERSION)


@pytest.mark.parametrize("said_hello", [True, False])
def test_the_reason_is_the_last_samplers(host: Host, said_hello: bool) -> None:
    """Not that of one that died before it, even where the last died before it could say anything."""
    host.let_in()
    fail(host, "no plugin named atari", WRONG_VERSION)
    if said_hello:
        fail(host, "", NOT_LET_IN, "a-host/1")
    else:
        host.relay.depart("a-host/1", 0, NOT_LET_IN)
    host.relay.announce(Failure("a-host/1 died"))
    end = host.ended()
    assert isinstance(end, HostFailed)
    assert (str(end), end.status) == ("a-host/1 died", NOT_LET_IN)


def test_the_learner_may_give_up_first(host: Host) -> None:
    """On samplers that end: the reason still has what the last of them said."""
    way = host.let_in()
    fail(host, "OSError: no display", ENVIRONMENT_FAILED)
    host.learner.send("reject", None, way, reason="5 samplers ended", status=ENVIRONMENT_FAILED)
    end = host.ended()
    assert isinstance(end, Rejected)
    assert (str(end), end.status) == ("5 samplers ended: OSError: no display", ENVIRONMENT_FAILED)


def test_leaving_is_told(host: Host) -> None:
    """And questions of the supervisor are not waited for any more."""
    way = host.let_in()
    host.learner.send("stop", None, way)
    host.ended()
    host.relay.leave()
    assert host.learner.receive().type == "leave"
    with pytest.raises(RunError, match="the link's thread has ended"):
        host.relay.depart("a-host/0", 0, 0)

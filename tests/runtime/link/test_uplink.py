import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from processes import wait_for

from framework.runtime.link import uplink as module
from framework.runtime.link.address import LOOPBACK
from framework.runtime.link.curve import Guard, require_keys
from framework.runtime.link.token import JoinToken
from framework.runtime.link.uplink import KeyRefused, Uplink

SERVER, CLIENT, STRANGER = zmq.curve_keypair(), zmq.curve_keypair(), zmq.curve_keypair()


class Learner:
    """A guarded ROUTER that lets in who has the key `CLIENT`; every message is made by the test."""

    def __init__(self, port: int = 0, pair: tuple[bytes, bytes] = SERVER):
        self.known = {CLIENT[0].decode()}
        self._context = zmq.Context()
        self._guard = Guard(self._context, lambda key: key in self.known)
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        require_keys(self.socket, pair[1])
        self.socket.bind(f"tcp://{LOOPBACK}:{port or '*'}")
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.port = int(self.endpoint.rpartition(":")[2])

    def close(self) -> None:
        self._guard.close()
        self._context.destroy(linger=0)


@pytest.fixture
def learner() -> Iterator[Learner]:
    learner = Learner()
    yield learner
    if not learner.socket.closed:
        learner.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Uplink]]:
    """Makes uplinks, and closes them."""
    uplinks: list[Uplink] = []
    context = zmq.Context()

    def connect(*endpoints: str, pair: tuple[bytes, bytes] = CLIENT) -> Uplink:
        keys = [key.decode() for key in (SERVER[0], *pair)]
        uplinks.append(Uplink(context, JoinToken("join-2", "run-7", endpoints, *keys)))
        return uplinks[-1]

    yield connect
    for uplink in uplinks:
        uplink.close()
    context.destroy(linger=0)


def parts(uplink: Uplink) -> Any:
    """The next message, waited for; the connection is looked after meanwhile."""
    return [part.bytes for part in wait_for(lambda: (uplink.look() and None) or uplink.receive())]


def test_messages_go_both_ways(learner: Learner, connect: Callable[..., Uplink]) -> None:
    """Once the connection is there; before, nothing is taken, so that nothing piles up."""
    uplink = connect(learner.endpoint)
    assert not uplink.send([b"", b"too early"])
    assert uplink.receive() is None
    wait_for(uplink.look)
    assert uplink.send([b"", b"question"])
    assert learner.socket.poll(5000)
    peer, *frames = learner.socket.recv_multipart()
    assert frames == [b"", b"question"]
    learner.socket.send_multipart([peer, b"", b"answer"])
    before = uplink.heard
    assert parts(uplink) == [b"", b"answer"]
    assert uplink.heard > before
    assert uplink.silence < 1


def test_a_key_that_the_run_does_not_know_is_refused(learner: Learner, connect: Callable[..., Uplink]) -> None:
    """As one that was revoked is, whether before the connection was made or while it was lost."""
    uplink = connect(learner.endpoint, pair=STRANGER)
    with pytest.raises(KeyRefused, match="the run run-7 does not let the join key join-2 in: it was revoked"):
        wait_for(uplink.look)
    uplink = connect(learner.endpoint)
    wait_for(uplink.look)
    learner.close()
    heir = Learner(learner.port)
    heir.known.clear()
    with pytest.raises(KeyRefused, match="revoked, or has expired"):
        wait_for(uplink.look)
    heir.close()


def test_another_learner_is_not_joined(
    learner: Learner, connect: Callable[..., Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with other keys at the same address: nothing is ever sent to it."""
    monkeypatch.setattr(module, "_FAILURES", 2)
    other = Learner(pair=zmq.curve_keypair())
    uplink = connect(other.endpoint)
    with pytest.raises(KeyRefused, match=f"what listens at {other.endpoint} is not the learner"):
        wait_for(lambda: uplink.look() or uplink.send([b"", b"secret"]))
    other.close()


def test_one_that_was_the_learner_is_waited_for(
    learner: Learner, connect: Callable[..., Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process has its address for a while, the host comes back to the learner afterwards."""
    monkeypatch.setattr(module, "_FAILURES", 1)
    uplink = connect(learner.endpoint)
    wait_for(uplink.look)
    learner.close()
    other = Learner(learner.port, zmq.curve_keypair())
    wait_for(lambda: uplink.look() or uplink._failures > 1)
    other.close()
    heir = Learner(learner.port)
    wait_for(uplink.look)
    heir.close()


def test_the_connection_is_made_anew(learner: Learner, connect: Callable[..., Uplink]) -> None:
    """To a learner that is started again with its keys at its port; meanwhile nothing is taken."""
    uplink = connect(learner.endpoint)
    wait_for(uplink.look)
    learner.close()
    wait_for(lambda: uplink.look() or not uplink.send([b"", b"lost"]))
    heir = Learner(learner.port)
    wait_for(uplink.look)
    assert uplink.send([b"", b"back"])
    assert heir.socket.poll(5000)
    assert heir.socket.recv_multipart()[1:] == [b"", b"back"]
    heir.close()


def test_silence_ends_a_connection(
    learner: Learner, connect: Callable[..., Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it is waited for twice as long, up to a limit; a word from the learner sets that back."""
    monkeypatch.setattr(module, "_SILENCE", 0.05)
    monkeypatch.setattr(module, "_SILENCE_LIMIT", 0.15)
    uplink = connect(learner.endpoint)
    uplink._patience = 0.05
    patience = [uplink._patience]
    sockets = {uplink.socket}
    while len(sockets) < 4:
        uplink.look()
        sockets.add(uplink.socket)
        if uplink._patience != patience[-1]:
            patience.append(uplink._patience)
    assert patience == [0.05, 0.1, 0.15]
    assert sum(not used.closed for used in sockets) == 1
    wait_for(uplink.look)
    uplink.send([b"", b"anybody?"])
    assert learner.socket.poll(5000)
    learner.socket.send_multipart([learner.socket.recv(), b"", b"yes"])
    assert parts(uplink) == [b"", b"yes"]
    assert uplink._patience == 0.05


def test_the_first_endpoint_that_is_reached_is_taken(learner: Learner, connect: Callable[..., Uplink]) -> None:
    """Of several; where nothing listens at any of them, the first is tried until something does."""
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))
        nobody = f"tcp://{LOOPBACK}:{closed.getsockname()[1]}"
        uplink = connect(nobody, "tcp://no.such.host.invalid:1", learner.endpoint)
        assert uplink.endpoint == learner.endpoint
        wait_for(uplink.look)
        assert connect(nobody, nobody).endpoint == nobody

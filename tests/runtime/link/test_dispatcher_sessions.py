"""Samplers whose connections come and go, as the dispatcher sees them."""

import numpy as np
import pytest
from dispatching import COMPONENTS, SPECIFICATION, Learner, Peer

from framework.runtime.link import wire
from framework.runtime.link.source import Accepted, Event


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def peer(learner: Learner) -> Peer:
    return Peer(learner)


def reconnect(learner: Learner, peer: Peer, identity: bytes = b"another") -> Peer:
    """The same sampler over a new connection, when it has answered the question who it is."""
    learner.cut.add(peer.identity)
    again = Peer(learner, identity)
    again.send("alive")
    assert again.receive().type == "who"
    again.hello(session=f"session of {peer.identity.decode()}")
    return again


@pytest.mark.parametrize(
    "message",
    [
        wire.encode("pull", version=0),
        wire.encode("trajectory", {"rewards": np.zeros(30_000)}, shard=0, number=0, version=0, timing=[]),
        wire.encode("ready", specification="", components={}),
        wire.encode("failed", message="", traceback=""),
    ],
)
def test_who_is_not_known_is_asked(learner: Learner, peer: Peer, message: list[bytes]) -> None:
    """Whatever it says, and however much of it: it may be a sampler that has another connection now."""
    for _ in range(3):
        learner.dispatcher.receive((peer.identity,), message)
        assert peer.receive().type == "who"
    assert learner.news == []
    peer.join()
    assert learner.event("sampler_joined")


@pytest.mark.parametrize("noticed", [False, True])
def test_a_sampler_that_is_back_goes_on(learner: Learner, peer: Peer, noticed: bool) -> None:
    """Within the grace it keeps its work, is told of it again, and nothing of it is restored or collected twice."""
    peer.join()
    peer.receive()
    first, second = peer.receive(), peer.receive()
    peer.deliver(first)
    learner.cut.add(peer.identity)
    if noticed:
        learner.dispatcher.tick(1.0)
        assert learner.event("sampler_disconnected").fields["sampler"] == "sampler-0"
        learner.dispatcher.tick(10.9)
    again = reconnect(learner, peer)
    assert again.receive()["ready"] is True
    assert again.receive().fields == second.fields
    again.deliver(first)  # it never heard that this one was accepted
    again.deliver(second)
    numbers = [news.trajectory.number for news in learner.news if isinstance(news, Accepted)]
    assert numbers == [0, 1]
    assert learner.event("sampler_reconnected").fields["process"] == 1
    assert not [news for news in learner.news if isinstance(news, Event) and news.name == "sampler_refused"]


def test_work_of_a_sampler_that_stays_away_is_granted_to_others(learner: Learner, peer: Peer) -> None:
    """After the grace, and not before; when it comes back then it joins anew, and what it had is granted to no one."""
    peer.join()
    heir = Peer(learner, b"heir")
    heir.join(sampler="sampler-1")
    learner.cut.add(peer.identity)
    learner.dispatcher.tick(100.0)
    learner.dispatcher.tick(110.0)
    assert {message.type for message in learner.sent[b"heir"]} == {"ping"}
    learner.dispatcher.tick(110.1)
    assert learner.event("sampler_gone").fields["sampler"] == "sampler-0"
    granted = [message for message in learner.sent[b"heir"] if message.type == "directive"]
    assert [(directive["number"], directive["restore"]) for directive in granted] == [(0, True), (1, False)]
    again = reconnect(learner, peer)
    assert again.receive()["ready"] is False
    again.send("ready", specification=SPECIFICATION.fingerprint, components=COMPONENTS)
    again.deliver(granted[0])
    assert again.receive().type == "acknowledge"
    assert not any(isinstance(news, Accepted) for news in learner.news)


def test_a_peer_that_leaves_without_a_word_is_forgotten(learner: Learner, peer: Peer) -> None:
    """Before it was ready too; then nobody hears of it."""
    peer.hello()
    learner.cut.add(peer.identity)
    for now in (1.0, 20.0):
        learner.dispatcher.tick(now)
    assert learner.news == []
    assert reconnect(learner, peer).receive()["ready"] is False


def test_who_was_never_ready_is_not_what_shards_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """When such a peer is forgotten the samplers that are still to come are expected as before."""
    learner = Learner()
    expected: list[int] = []
    monkeypatch.setattr(learner.dispatcher._leases, "expect", expected.append)
    for ready in (False, True):
        peer = Peer(learner, b"ready" if ready else b"early")
        peer.join() if ready else peer.hello()
        learner.cut.add(peer.identity)
        learner.dispatcher.tick(1.0)
        learner.dispatcher.tick(20.0)
    assert expected == [0]


def test_versions_that_were_missed_are_asked_for(learner: Learner, peer: Peer) -> None:
    """Where they are gone when the sampler is back, what it owes with them is withdrawn."""
    learner = Learner(lag=None)
    peer = Peer(learner)
    peer.join()
    learner.cut.add(peer.identity)
    learner.dispatcher.tick(1.0)
    for version in (1, 2, 3):
        learner.dispatcher.publish(version, {"weights": np.zeros(8, np.uint8)})
    again = reconnect(learner, peer)
    assert [again.receive().type for _ in range(3)] == ["welcome", "directive", "directive"]
    again.send("pull", version=0)
    assert [again.receive().type for _ in range(4)] == ["withdraw", "weights", "directive", "directive"]


def test_a_session_is_one_sampler_s(learner: Learner, peer: Peer) -> None:
    """Who says that it is another's is refused; so is a second session over one connection."""
    peer.join()
    thief = Peer(learner, b"thief")
    thief.hello(session="session of peer", process=2)
    assert thief.receive()["reason"] == "the session belongs to another sampler"
    peer.hello(session="a second one")
    assert learner.sent[b"peer"][-1]["reason"] == "a second session over one connection"


def test_floods_end_at_the_first_message(learner: Learner, peer: Peer) -> None:
    """`ready` is said once, `not_replayable` once for each shard that was to be restored."""
    peer.join()
    for _ in range(3):
        peer.send("not_replayable", {"environments": np.arange(2)}, shard=0)
    names = [news.name for news in learner.news if isinstance(news, Event)]
    assert names == ["sampler_joined", "not_replayable", "sampler_refused"]
    another = Peer(learner, b"another")
    another.join()
    for _ in range(3):
        another.send("ready", specification=SPECIFICATION.fingerprint, components=COMPONENTS)
    names = [news.name for news in learner.news if isinstance(news, Event)]
    assert names[3:] == ["sampler_joined", "sampler_refused"]


def test_what_is_remembered_of_versions_is_bounded(learner: Learner, peer: Peer) -> None:
    """Of each sampler those alone that somebody may still be told of."""
    peer.join()
    for version in range(1, 50):
        learner.dispatcher.publish(version, {"weights": np.zeros(8, np.uint8)})
        for directive in [message for message in learner.sent[b"peer"] if message.type == "directive"]:
            peer.deliver(directive)
            learner.sent[b"peer"].remove(directive)
    (session,) = learner.dispatcher._members
    assert session.deliveries > 40
    assert len(session.versions) <= 2


def test_what_is_remembered_of_refused_peers_is_bounded(learner: Learner) -> None:
    """So many peers that send garbage, one after the other, take no memory."""
    for number in range(3000):
        learner.dispatcher.receive((b"stranger %d" % number,), [b"garbage"])
    assert len(learner.dispatcher._members._refused) <= 1024

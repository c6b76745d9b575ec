"""What hosts and who may become one are sent, as the dispatcher sees it."""

import json

import numpy as np
import pytest
from dispatching import COMPONENTS, VERSIONS, HostPeer, Learner, Peer

import framework
from framework.runtime.link import wire
from framework.runtime.link.hosts import UNCONFIRMED

WEIGHTS = {"weights": np.zeros(8, np.uint8)}
INTRODUCTION = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": "run"}


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def host(learner: Learner) -> HostPeer:
    return HostPeer(learner)


def versions_of(host: HostPeer) -> list[int]:
    """The versions whose weights have come to a host."""
    versions = [message["version"] for message in host.unread if message.type == "weights"]
    host.unread.clear()
    return versions


def test_weights_cross_a_host_s_connection_once(learner: Learner, host: HostPeer) -> None:
    """However many of its samplers need them; one that lacks them nevertheless has them sent again, once they came."""
    host.enter()
    first = host.joined()
    host.joined(1)
    assert versions_of(host) == [0]
    first.send("pull", version=0)
    assert versions_of(host) == []  # they are on their way
    host.send("have", version=0)
    first.send("pull", version=0)
    assert versions_of(host) == [0]
    assert "weights" not in first.types()


def test_a_host_that_confirms_nothing_is_sent_few_weights() -> None:
    """It may not be reading; when it says that it has some, others follow."""
    learner = Learner(kept_versions=9)
    host = HostPeer(learner)
    host.enter()
    sampler = host.joined()
    for version in range(1, 8):
        learner.dispatcher.publish(version, WEIGHTS)
        sampler.send("pull", version=version)
    assert versions_of(host) == list(range(UNCONFIRMED))
    host.send("have", version=1)
    sampler.send("pull", version=7)
    sampler.send("pull", version=6)
    assert versions_of(host) == [7]


def test_what_is_remembered_of_a_host_s_versions_is_bounded(learner: Learner, host: HostPeer) -> None:
    """Those alone that somebody may still be told of."""
    host.enter()
    sampler = host.joined()
    for version in range(1, 50):
        learner.dispatcher.publish(version, WEIGHTS)
        sampler.send("pull", version=version)
        host.send("have", version=version)
    (member,) = learner.dispatcher._members.hosts
    assert len(member.versions) <= 2
    assert member.unconfirmed <= {0}


def test_a_host_is_answered(learner: Learner, host: HostPeer) -> None:
    """Where it says that it is there; it is asked each second whether it is."""
    host.enter()
    host.send("alive")
    learner.dispatcher.tick(1.0)
    assert host.types() == ["alive", "ping"]


@pytest.mark.parametrize("type", ["pull", "have"])
def test_hosts_and_samplers_have_messages_of_their_own(learner: Learner, host: HostPeer, type: str) -> None:
    """Who sends the other's is refused."""
    host.enter()
    sender = host if type == "pull" else host.joined()
    sender.send(type, version=0)
    who = "a host" if type == "pull" else "a sampler"
    assert learner.event("host_refused").fields["reason"] == f"{who} does not send {type} messages"


def test_who_asks_is_told_the_terms(learner: Learner, host: HostPeer) -> None:
    """All that a host must agree with, before it enters; of another version it hears that."""
    host.send("inspect", **INTRODUCTION)
    terms = host.receive()
    assert (terms["versions"], terms["components"], terms["exact"]) == (VERSIONS, COMPONENTS, True)
    assert terms["bytes"] > 0
    assert json.loads(terms.arrays["pipeline"].tobytes())["evaluation"]["tasks"][:2] == [0, 1]
    assert learner.news == []
    host.send("inspect", **(INTRODUCTION | {"framework": "0.0.1"}))
    assert host.receive()["reason"].startswith(f"this run has framework '{framework.__version__}'")


def test_who_has_a_key_hears_an_echo(learner: Learner, host: HostPeer) -> None:
    """Of as many bytes, up to a megabyte, to measure the connection with; who has none is asked who it is."""
    arrays = {"bytes": np.arange(1000, dtype=np.uint8)}
    host.send("echo", arrays, number=3)
    echo = host.receive()
    assert (echo.type, echo["number"]) == ("echo", 3)
    assert echo.arrays["bytes"].nbytes == arrays["bytes"].nbytes
    local = Peer(learner)
    local.send("echo", arrays, number=3)
    assert local.types() == ["who"]
    host.send("echo", {"bytes": np.zeros(wire.ECHO_LIMIT + 1, np.uint8)}, number=4)
    assert "larger than what was agreed" in host.receive()["reason"]


@pytest.mark.parametrize("incarnation", ["0", [1], {}, 1.5, None])
def test_an_introduction_may_say_anything(learner: Learner, incarnation: object) -> None:
    """Of a run that it does not belong to, too: what is no number is no part of the record."""
    peer = Peer(learner)
    peer.hello(run="another", incarnation=incarnation)
    assert peer.receive().type == "reject"
    assert "incarnation" not in learner.event("sampler_refused").fields
    assert learner.event("sampler_refused").fields["sampler"] == "sampler-0"


@pytest.mark.parametrize("parts", [(b"host", b"7", b"8"), (b"nobody", b"7")])
def test_ways_through_nobody_lead_nowhere(learner: Learner, parts: tuple[bytes, ...]) -> None:
    """Who says hello through a host that has not entered is refused."""
    stranger = Peer(learner, way=parts)
    stranger.hello()
    assert learner.event("sampler_refused").fields["reason"].startswith("samplers of other machines join through")

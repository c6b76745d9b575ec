import json
import os
from typing import Any

import numpy as np
import pytest
import trajectories

import framework
from framework.runtime.data.specification import Specification
from framework.runtime.link import wire
from framework.runtime.link.dispatcher import Admission, Dispatcher
from framework.runtime.link.leases import Leases
from framework.runtime.link.source import Accepted, Event, Failure, News

SPECIFICATION = Specification(trajectories.make(steps=1), 4)


class Learner:
    """A dispatcher with one shard, its news, and what it has sent to each peer."""

    def __init__(self, lag: int | None = 1):
        pipeline = {"evaluation": {"tasks": list(range(5000))}}
        admission = Admission("run", pipeline, "/folder", "components", SPECIFICATION)
        self.news: list[News] = []
        self.sent: dict[bytes, list[wire.Message]] = {}
        leases = Leases(1, lag, credit=2)
        self.dispatcher = Dispatcher(leases, admission, 1, self._send, self.news.append)
        self.dispatcher.publish(0, {"weights": np.zeros(8, np.uint8)})

    def _send(self, identity: bytes, type: str, arrays: Any = None, **fields: Any) -> None:
        self.sent.setdefault(identity, []).append(wire.decode(wire.encode(type, arrays, **fields), limit=2**30))

    def event(self, name: str) -> Event:
        """The first event of a name."""
        return next(news for news in self.news if isinstance(news, Event) and news.name == name)


class Peer:
    """A sampler of which every message is made by the test."""

    def __init__(self, learner: Learner, identity: bytes = b"peer"):
        self._learner = learner
        self.identity = identity

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        self._learner.dispatcher.receive(self.identity, wire.encode(type, arrays, **fields))

    def receive(self) -> wire.Message:
        return self._learner.sent[self.identity].pop(0)

    def hello(self, **changes: Any) -> None:
        fields = {
            "protocol": wire.PROTOCOL,
            "framework": framework.__version__,
            "run": "run",
            "sampler": "sampler-0",
            "incarnation": 0,
            "process": 1,
        }
        self.send("hello", **(fields | changes))

    def join(self, **changes: Any) -> None:
        self.hello(**changes)
        assert self.receive().type == "welcome"
        self.send("ready", specification=SPECIFICATION.fingerprint, components="components")

    def deliver(self, directive: wire.Message, **changes: Any) -> None:
        names = {name: directive[name] for name in ("shard", "number", "version")}
        self.send("trajectory", trajectories.make(**names).arrays, **({**names, "timing": [0.0, 0.0, 0.0]} | changes))


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def peer(learner: Learner) -> Peer:
    return Peer(learner)


def test_work_is_granted_and_accepted(learner: Learner, peer: Peer) -> None:
    """A sampler that introduces itself gets weights before the directive that names them, and an acknowledgement."""
    peer.join()
    weights, directive = peer.receive(), peer.receive()
    assert (weights.type, weights["version"]) == ("weights", 0)
    assert (directive.type, directive["number"], directive["restore"]) == ("directive", 0, True)
    peer.deliver(directive)
    joined, accepted = learner.news
    assert joined == Event("sampler_joined", {"sampler": "sampler-0", "incarnation": 0, "process": 1})
    assert isinstance(accepted, Accepted)
    assert (accepted.trajectory.number, accepted.state.number) == (0, 1)
    assert "acknowledge" in [message.type for message in learner.sent[b"peer"]]


def test_each_trajectory_is_accepted_once(learner: Learner, peer: Peer) -> None:
    """What is sent twice is acknowledged twice and accepted once."""
    peer.join()
    peer.receive()
    directive = peer.receive()
    peer.deliver(directive)
    peer.deliver(directive)
    types = [message.type for message in learner.sent[b"peer"]]
    assert sorted(types) == ["acknowledge", "acknowledge", "directive"]
    assert [type(news) for news in learner.news] == [Event, Accepted]


def test_idle_sampler_is_told_again(learner: Learner, peer: Peer) -> None:
    """A sampler that never heard of its work asks, and gets the same directive again."""
    peer.join()
    lost = [peer.receive() for _ in range(3)][1:]
    peer.send("alive")
    assert peer.receive().type == "alive"
    assert [peer.receive().fields for _ in lost] == [directive.fields for directive in lost]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"framework": "0.0.1"}, f"this run has framework '{framework.__version__}', the sampler has '0.0.1'"),
        ({"protocol": 99}, f"this run has protocol {wire.PROTOCOL}, the sampler has 99"),
        ({"run": "another"}, "this run has run 'run', the sampler has 'another'"),
    ],
)
def test_other_versions_are_refused(learner: Learner, peer: Peer, changes: dict[str, Any], reason: str) -> None:
    """A sampler of another version or run is refused, with both named."""
    peer.hello(**changes)
    assert peer.receive()["reason"] == reason
    assert learner.event("sampler_refused").fields["reason"] == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"specification": "other"}, "other arrays"),
        ({"components": "other"}, "other versions of the pipeline's components"),
    ],
)
def test_other_components_are_refused(learner: Learner, peer: Peer, changes: dict[str, str], reason: str) -> None:
    """A sampler whose components or arrays differ from the learner's is refused before it gets any work."""
    peer.hello()
    peer.receive()
    fingerprint = SPECIFICATION.fingerprint
    peer.send("ready", **({"specification": fingerprint, "components": "components"} | changes))
    assert reason in peer.receive()["reason"]


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xc1" * 100],
        [b"\x80"],
        [os.urandom(200), b"x"],
        wire.encode("pull", version=0),
        wire.encode("trajectory", {"rewards": np.zeros(3)}, shard=0, number=0, version=0, timing=[]),
    ],
)
def test_strangers_get_nothing(learner: Learner, peer: Peer, frames: list[bytes]) -> None:
    """A peer that sends garbage, or anything before hello, is refused; others go on as if nothing had happened."""
    stranger = Peer(learner, b"stranger")
    for _ in range(2):
        learner.dispatcher.receive(stranger.identity, frames)
    assert stranger.receive().type == "reject"
    assert not learner.sent[b"stranger"]  # not listened to again
    peer.join()
    peer.receive()
    peer.deliver(peer.receive())
    assert isinstance(learner.news[-1], Accepted)


@pytest.mark.parametrize("changes", [{"shard": 7}, {"shard": -1}, {"timing": [1.0]}, {"timing": ["a", "b", "c"]}])
def test_member_with_bad_data_is_refused(learner: Learner, peer: Peer, changes: dict[str, Any]) -> None:
    """A sampler that was let in and sends what cannot be is refused, and its work is free again."""
    heir = Peer(learner, b"heir")
    peer.join()
    peer.receive()
    directive = peer.receive()
    peer.deliver(directive, **changes)
    assert learner.event("sampler_refused").fields["sampler"] == "sampler-0"
    heir.join()
    heir.receive()
    assert heir.receive().fields == directive.fields


def test_failure_reaches_the_learner(learner: Learner, peer: Peer) -> None:
    """What a sampler says of its failure ends the run, with the sampler's name."""
    peer.join()
    peer.send("failed", message="KeyError: 'x'", traceback="Traceback ...")
    assert learner.event("sampler_failed").fields["message"] == "KeyError: 'x'"
    assert learner.news[-1] == Failure("sampler-0 failed: KeyError: 'x'\nTraceback ...")


def test_a_pipeline_of_any_size_arrives(learner: Learner, peer: Peer) -> None:
    """It may be larger than a header: thousands of tasks of evaluations, say."""
    peer.hello()
    pipeline = json.loads(peer.receive().arrays["pipeline"].tobytes())
    assert pipeline["evaluation"]["tasks"] == list(range(5000))


def test_environments_that_cannot_be_replayed_are_named(learner: Learner, peer: Peer) -> None:
    """As an array, since there may be more than a list of a header may hold; what is none is refused."""
    peer.join()
    peer.send("not_replayable", {"environments": np.arange(5)}, shard=0)
    assert learner.event("not_replayable").fields["environments"] == [0, 1, 2, 3, 4]
    peer.send("not_replayable", shard=0)
    assert "must name its environments" in learner.event("sampler_refused").fields["reason"]


def test_work_of_a_version_that_is_gone_is_granted_anew() -> None:
    """A sampler that stalled until its version was gone has the work taken back, and gets it with the newest one."""
    learner = Learner(lag=None)
    peer = Peer(learner)
    peer.join()
    _, *directives = (peer.receive() for _ in range(3))
    assert [(directive["number"], directive["version"]) for directive in directives] == [(0, 0), (1, 0)]
    for version in (1, 2, 3):
        learner.dispatcher.publish(version, {"weights": np.zeros(8, np.uint8)})
    peer.send("pull", version=0)
    messages = [peer.receive() for _ in range(4)]
    assert [message.type for message in messages] == ["withdraw", "weights", "directive", "directive"]
    assert messages[0].fields == {"shard": 0, "number": 0}
    granted = [(message["number"], message["version"], message["restore"]) for message in messages[2:]]
    assert granted == [(0, 3, True), (1, 3, False)]
    peer.send("pull", version=0)  # asked twice, as it may be while it waits
    peer.deliver(messages[2])
    assert [type(news) for news in learner.news] == [Event, Accepted]
    assert learner.news[-1].trajectory.version == 3  # type: ignore[union-attr]


def test_a_version_that_is_not_there_yet_is_refused(learner: Learner, peer: Peer) -> None:
    """Nobody can have been told of it."""
    peer.join()
    peer.send("pull", version=7)
    assert learner.event("sampler_refused").fields["reason"] == "there is no version 7 yet"


def test_departed_samplers_leave_their_work_to_others(learner: Learner, peer: Peer) -> None:
    """What a dead one held is granted to another; how much it had delivered is known, and whether it was rejected."""
    peer.join()
    peer.receive()
    peer.deliver(peer.receive())
    heir = Peer(learner, b"heir")
    heir.join(sampler="sampler-1")
    assert learner.dispatcher.depart("sampler-0", 0) == (1, False)
    assert [message["number"] for message in learner.sent[b"heir"] if message.type == "directive"] == [1]
    assert learner.dispatcher.depart("sampler-0", 0) == (0, False)
    refused = Peer(learner, b"refused")
    refused.hello(sampler="sampler-2", run="another")
    assert learner.dispatcher.depart("sampler-2", 0) == (0, True)


def test_a_new_incarnation_takes_the_place_of_the_old(learner: Learner, peer: Peer) -> None:
    """Also where the old one's end was never noticed: its work is the new one's."""
    peer.join()
    heir = Peer(learner, b"heir")
    heir.join(incarnation=1)
    assert [message.type for message in learner.sent[b"heir"]] == ["weights", "directive", "directive"]


def test_everybody_is_told_to_stop(learner: Learner, peer: Peer) -> None:
    """Those too who are not ready yet."""
    peer.join()
    early = Peer(learner, b"early")
    early.hello(sampler="sampler-1")
    learner.dispatcher.stop()
    assert [learner.sent[identity][-1].type for identity in (b"peer", b"early")] == ["stop", "stop"]


def test_credit_is_given_back_by_release() -> None:
    """Under a free lag, no more is granted than credit allows, until consumed trajectories are released."""
    learner = Learner(lag=None)
    peer = Peer(learner)
    peer.join()
    _, first, second = (peer.receive() for _ in range(3))
    peer.deliver(first)
    peer.deliver(second)
    assert [message.type for message in learner.sent[b"peer"]] == ["acknowledge", "acknowledge"]
    learner.dispatcher.release(2)
    assert [message["number"] for message in learner.sent[b"peer"][2:]] == [2, 3]

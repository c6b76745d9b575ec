import json
import os
from typing import Any

import numpy as np
import pytest
from dispatching import COMPONENTS, SPECIFICATION, Learner, Peer

import framework
from framework.runtime.link import wire
from framework.runtime.link.source import Accepted, Event, Failure


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
    assert learner.event("sampler_refused").fields["sampler"] == "sampler-0"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"specification": "other"}, "other arrays"),
        ({"components": {}}, "encoder/mlp: the learner has framework-rl 1.0 (abc), the sampler none"),
    ],
)
def test_other_components_are_refused(learner: Learner, peer: Peer, changes: dict[str, Any], reason: str) -> None:
    """A sampler whose components or arrays differ from the learner's is refused before it gets any work."""
    peer.hello()
    peer.receive()
    fingerprint = SPECIFICATION.fingerprint
    peer.send("ready", **({"specification": fingerprint, "components": COMPONENTS} | changes))
    assert reason in peer.receive()["reason"]


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xc1" * 100],
        [b"\x80"],
        [os.urandom(200), b"x"],
        wire.encode("hello", session="session"),
    ],
)
def test_strangers_get_nothing(learner: Learner, peer: Peer, frames: list[bytes]) -> None:
    """A peer that sends garbage is refused; others go on as if nothing had happened."""
    stranger = Peer(learner, b"stranger")
    for _ in range(2):
        learner.dispatcher.receive((stranger.identity,), frames)
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
    """As an array, since there may be more than a header may hold; what names more than a shard has is refused."""
    peer.join()
    peer.send("not_replayable", {"environments": np.arange(2)}, shard=0)
    assert learner.event("not_replayable").fields["environments"] == [0, 1]
    peer.send("not_replayable", {"environments": np.arange(3)}, shard=0)
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


def test_nobody_displaces_a_sampler_by_its_name(learner: Learner, peer: Peer) -> None:
    """A higher incarnation is a sampler of its own, and gets nothing of what the living one holds."""
    peer.join()
    stranger = Peer(learner, b"stranger")
    stranger.join(incarnation=1)
    assert not learner.sent[b"stranger"]
    peer.receive()
    peer.deliver(peer.receive())
    assert isinstance(learner.news[-1], Accepted)


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

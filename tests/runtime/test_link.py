import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trajectories
import zmq

import framework
from framework.errors import RunError
from framework.runtime import wire
from framework.runtime.launch import NOT_LET_IN, Exit
from framework.runtime.leases import Leases
from framework.runtime.link import Accepted, Admission, Event, Link
from framework.runtime.trajectory import Specification


class NoLauncher:
    """Starts nothing, and reports the ends that the test makes up."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.ended: list[Exit] = []
        self.started: list[tuple[str, int]] = []

    def end(self, status: int, sampler: str = "sampler-0", incarnation: int = 0) -> None:
        self.ended.append(Exit(sampler, incarnation, 1, status))
        os.write(self._write, b"x")

    def fileno(self) -> int:
        return self._read

    def start(self, sampler: str, incarnation: int, run: str, endpoint: str) -> None:
        self.started.append((sampler, incarnation))

    def exits(self) -> list[Exit]:
        os.read(self._read, 1)
        return [self.ended.pop()]

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Peer:
    """A sampler of which every message is made by the test."""

    def __init__(self, context: "zmq.Context[Any]", endpoint: str):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        self.socket.send_multipart(wire.encode(type, arrays, **fields))

    def receive(self) -> wire.Message:
        assert self.socket.poll(5000), "no answer"
        return wire.decode(self.socket.recv_multipart(), limit=2**30)

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

    def join(self, link: "Served") -> None:
        self.hello()
        assert self.receive().type == "welcome"
        self.send("ready", specification=link.specification.fingerprint, components="components")

    def deliver(self, directive: wire.Message, **changes: Any) -> None:
        fields = {name: directive[name] for name in ("shard", "number", "version")} | {"timing": [0.0, 0.0, 0.0]}
        made = trajectories.make(**{name: fields[name] for name in ("shard", "number", "version")})
        self.send("trajectory", made.arrays, **(fields | changes))


class Served:
    """A link with one shard, and what it says."""

    def __init__(self, folder: Path, lag: int | None = 1):
        self.endpoint = f"ipc://{folder}/link"
        example = trajectories.make(steps=1)
        self.specification = Specification(example, 4)
        pipeline = {"evaluation": {"tasks": list(range(5000))}}
        admission = Admission("run", pipeline, str(folder), "components", self.specification)
        self.launcher = NoLauncher()
        leases = Leases(1, lag, credit=2)
        self.link = Link(self.endpoint, leases, admission, self.launcher, 0, 1)  # type: ignore[arg-type]
        self.link.publish(0, {"weights": np.zeros(8, np.uint8)})

    def next(self, kind: type, name: str = "") -> Any:
        """The next news of a kind, and of a name where it is an event."""
        for _ in range(100):
            news = self.link.receive(0.1)
            if isinstance(news, kind) and getattr(news, "name", name) == name:
                return news
        raise AssertionError(f"no {kind.__name__} {name}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.link.close()


@pytest.fixture
def peers(served: Served) -> Iterator[Any]:
    context = zmq.Context()
    made: list[Peer] = []

    def make() -> Peer:
        made.append(Peer(context, served.endpoint))
        return made[-1]

    yield make
    for peer in made:
        peer.socket.close()
    context.term()


def test_work_is_granted_and_accepted(served: Served, peers: Any) -> None:
    """A sampler that introduces itself gets weights before the directive that names them, and an acknowledgement."""
    peer = peers()
    peer.join(served)
    weights, directive = peer.receive(), peer.receive()
    assert (weights.type, weights["version"]) == ("weights", 0)
    assert (directive.type, directive["number"], directive["restore"]) == ("directive", 0, True)
    peer.deliver(directive)
    accepted = served.next(Accepted)
    assert (accepted.trajectory.number, accepted.state.number) == (0, 1)


def test_each_trajectory_is_accepted_once(served: Served, peers: Any) -> None:
    """What is sent twice is acknowledged twice and accepted once."""
    peer = peers()
    peer.join(served)
    peer.receive()
    directive = peer.receive()
    peer.deliver(directive)
    peer.deliver(directive)
    answers = [peer.receive() for _ in range(3)]
    assert sorted(answer.type for answer in answers) == ["acknowledge", "acknowledge", "directive"]
    news = list(iter(lambda: served.link.receive(0.05), None))
    assert [type(one) for one in news] == [Event, Accepted]


def test_idle_sampler_is_told_again(served: Served, peers: Any) -> None:
    """A sampler that never heard of its work asks, and gets the same directive again."""
    peer = peers()
    peer.join(served)
    lost = [peer.receive() for _ in range(3)][1:]
    peer.send("alive", collecting=False)
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
def test_other_versions_are_refused(served: Served, peers: Any, changes: dict[str, Any], reason: str) -> None:
    """A sampler of another version or run is refused, with both named."""
    peer = peers()
    peer.hello(**changes)
    assert peer.receive()["reason"] == reason
    assert served.next(Event, "sampler_refused").fields["reason"] == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"specification": "other"}, "other arrays"),
        ({"components": "other"}, "other versions of the pipeline's components"),
    ],
)
def test_other_components_are_refused(served: Served, peers: Any, changes: dict[str, str], reason: str) -> None:
    """A sampler whose components or arrays differ from the learner's is refused before it gets any work."""
    peer = peers()
    peer.hello()
    peer.receive()
    fingerprint = served.specification.fingerprint
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
def test_strangers_get_nothing(served: Served, peers: Any, frames: list[bytes]) -> None:
    """A peer that sends garbage, or anything before hello, is refused; others go on as if nothing had happened."""
    stranger, peer = peers(), peers()
    stranger.socket.send_multipart(frames)
    assert stranger.receive().type == "reject"
    peer.join(served)
    peer.receive()
    peer.deliver(peer.receive())
    served.next(Accepted)


@pytest.mark.parametrize("changes", [{"shard": 7}, {"shard": -1}, {"timing": [1.0]}, {"timing": ["a", "b", "c"]}])
def test_member_with_bad_data_is_refused(served: Served, peers: Any, changes: dict[str, Any]) -> None:
    """A sampler that was let in and sends what cannot be is refused, and its work is free again."""
    peer, other = peers(), peers()
    peer.join(served)
    peer.receive()
    directive = peer.receive()
    peer.deliver(directive, **changes)
    served.next(Event, "sampler_refused")
    other.join(served)
    other.receive()
    assert other.receive().fields == directive.fields


def test_failure_reaches_the_learner(served: Served, peers: Any) -> None:
    """What a sampler says of its failure is raised in the learner, with the sampler's name."""
    peer = peers()
    peer.join(served)
    peer.send("failed", message="KeyError: 'x'", traceback="Traceback ...")
    with pytest.raises(RunError, match=r"sampler-0 failed: KeyError: 'x'\nTraceback"):
        served.next(Accepted)


def test_a_pipeline_of_any_size_arrives(served: Served, peers: Any) -> None:
    """It may be larger than a header: thousands of tasks of evaluations, say."""
    peer = peers()
    peer.hello()
    pipeline = json.loads(peer.receive().arrays["pipeline"].tobytes())
    assert pipeline["evaluation"]["tasks"] == list(range(5000))


def test_work_of_a_version_that_is_gone_is_granted_anew(tmp_path: Path) -> None:
    """A sampler that stalled until its version was gone has the work taken back, and gets it with the newest one."""
    served, context = Served(tmp_path, lag=None), zmq.Context()
    peer = Peer(context, served.endpoint)
    try:
        peer.join(served)
        _, *directives = (peer.receive() for _ in range(3))
        assert [(one["number"], one["version"]) for one in directives] == [(0, 0), (1, 0)]
        for version in (1, 2, 3):
            served.link.publish(version, {"weights": np.zeros(8, np.uint8)})
        while served.link._leases.version < 3:
            time.sleep(0.001)
        peer.send("pull", version=0)
        answers = [peer.receive() for _ in range(4)]
        assert [one.type for one in answers] == ["withdraw", "weights", "directive", "directive"]
        assert answers[0].fields == {"shard": 0, "number": 0}
        assert [(one["number"], one["version"], one["restore"]) for one in answers[2:]] == [(0, 3, True), (1, 3, False)]
        peer.send("pull", version=0)  # asked twice, as it may be while it waits
        peer.deliver(answers[2])
        assert served.next(Accepted).trajectory.version == 3
        assert not [news for news in iter(lambda: served.link.receive(0.05), None) if news.name == "sampler_refused"]
    finally:
        peer.socket.close()
        context.term()
        served.link.close()


def test_exit_codes_are_believed_after_a_reject_only(served: Served, peers: Any) -> None:
    """An environment that ends its process with the code of a sampler that was not let in is a loss like any other."""
    peer = peers()
    peer.join(served)
    served.next(Event, "sampler_joined")
    served.launcher.end(NOT_LET_IN)
    assert served.next(Event, "sampler_replaced").fields["incarnation"] == 1
    refused = peers()
    refused.hello(incarnation=1, run="another")
    assert refused.receive().type == "reject"
    served.launcher.end(NOT_LET_IN, incarnation=1)
    with pytest.raises(RunError, match="sampler-0 was not let in"):
        served.next(Accepted)


def test_environments_that_cannot_be_replayed_are_named(served: Served, peers: Any) -> None:
    """As an array, since there may be more than a list of a header may hold; what is none is refused."""
    peer = peers()
    peer.join(served)
    served.next(Event, "sampler_joined")
    peer.send("not_replayable", {"environments": np.arange(5)}, shard=0)
    assert served.next(Event, "not_replayable").fields["environments"] == [0, 1, 2, 3, 4]
    peer.send("not_replayable", shard=0)
    assert "must name its environments" in served.next(Event, "sampler_refused").fields["reason"]


def test_death_of_the_helper_is_told(served: Served, peers: Any) -> None:
    """In the words of the launcher, whether it is noticed when a sampler ends or when one is to be started."""

    def start(*arguments: Any) -> None:
        raise ChildProcessError("the helper has ended")

    served.launcher.start = start  # type: ignore[method-assign]
    served.launcher.end(-9)
    with pytest.raises(RunError, match=r"^the helper has ended$"):
        served.next(Accepted)

import os
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
from framework.runtime.launch import Exit
from framework.runtime.leases import Leases
from framework.runtime.link import Accepted, Admission, Event, Link
from framework.runtime.trajectory import Specification


class NoLauncher:
    """Starts nothing."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def start(self, sampler: str, incarnation: int, run: str, endpoint: str) -> None:
        pass

    def exits(self) -> list[Exit]:
        return []

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

    def __init__(self, folder: Path):
        self.endpoint = f"ipc://{folder}/link"
        example = trajectories.make(steps=1)
        self.specification = Specification(example, 4)
        admission = Admission("run", {}, str(folder), "components", self.specification)
        self.link = Link(self.endpoint, Leases(1, 1), admission, NoLauncher(), 0, 1)  # type: ignore[arg-type]
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
        ({"protocol": 99}, "this run has protocol 1, the sampler has 99"),
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

"""The learner's side of the protocol without sockets, and samplers of which every message is made by the test."""

from __future__ import annotations

from typing import Any

import numpy as np
import trajectories

import framework
from framework.runtime.data.specification import Specification
from framework.runtime.link import wire
from framework.runtime.link.admission import Admission
from framework.runtime.link.dispatcher import Dispatcher
from framework.runtime.link.leases import Leases
from framework.runtime.link.sessions import Way
from framework.runtime.link.source import Event, News

VERSIONS = {"framework": "1.0 (abc)", "torch": "2.0.0"}
COMPONENTS = {"encoder/mlp": "framework-rl 1.0 (abc)"}
SPECIFICATION = Specification(trajectories.make(steps=1), 4)


class Learner:
    """A dispatcher with one shard, its news, and what it has sent to each peer."""

    def __init__(self, lag: int | None = 1, *, kept_versions: int = 1, **changes: Any):
        pipeline = {"evaluation": {"tasks": list(range(5000))}}
        admission = Admission("run", pipeline, "/folder", VERSIONS, COMPONENTS, SPECIFICATION, **changes)
        self.news: list[News] = []
        self.sent: dict[bytes, list[wire.Message]] = {}
        self.cut: set[bytes] = set()  # whose connections are no more
        leases = Leases(1, lag, credit=2)
        self.refusals: dict[str, str] = {}  # why nobody enters with a key, by its name
        self.dispatcher = Dispatcher(leases, admission, kept_versions, 10.0, self._send, self.news.append, self._admit)
        self.dispatcher.publish(0, {"weights": np.zeros(8, np.uint8)})

    def _admit(self, key: str, session: str) -> str | None:
        return self.refusals.get(key)

    def _send(self, way: Way, type: str, arrays: Any = None, **fields: Any) -> bool:
        if way[0] in self.cut:
            return False
        self.sent.setdefault(b"".join(way), []).append(wire.decode(wire.encode(type, arrays, **fields), limit=2**30))
        return True

    def event(self, name: str) -> Event:
        """The first event of a name."""
        return next(news for news in self.news if isinstance(news, Event) and news.name == name)

    @property
    def events(self) -> list[str]:
        """The names of all events."""
        return [news.name for news in self.news if isinstance(news, Event)]


class Connection:
    """Somebody of whom every message is made by the test, and the key of the connection; empty on this machine."""

    def __init__(self, learner: Learner, way: Way, key: str = ""):
        self._learner = learner
        self.way = way
        self.key = key

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        self._learner.dispatcher.receive(self.way, wire.encode(type, arrays, **fields), self.key)

    def receive(self) -> wire.Message:
        return self.unread.pop(0)

    def types(self) -> list[str]:
        """The types of all messages that have come since; they are read with this."""
        types = [message.type for message in self.unread]
        self.unread.clear()
        return types

    @property
    def unread(self) -> list[wire.Message]:
        """The messages that have come and were not received yet."""
        return self._learner.sent.setdefault(b"".join(self.way), [])


class Peer(Connection):
    """A sampler."""

    def __init__(self, learner: Learner, identity: bytes = b"peer", way: Way | None = None):
        super().__init__(learner, way or (identity,))
        self.identity = identity

    def hello(self, **changes: Any) -> None:
        fields = {
            "protocol": wire.PROTOCOL,
            "framework": framework.__version__,
            "run": "run",
            "session": f"session of {self.identity.decode()}",
            "sampler": "sampler-0",
            "incarnation": 0,
            "process": 1,
            "versions": VERSIONS,
        }
        self.send("hello", **(fields | changes))

    def join(self, **changes: Any) -> None:
        self.hello(**changes)
        assert self.receive().type == "welcome"
        self.send("ready", specification=SPECIFICATION.fingerprint, components=COMPONENTS)

    def deliver(self, directive: wire.Message, **changes: Any) -> None:
        names = {name: directive[name] for name in ("shard", "number", "version")}
        self.send("trajectory", trajectories.make(**names).arrays, **({**names, "timing": [0.0, 0.0, 0.0]} | changes))


class HostPeer(Connection):
    """A host, over a connection that came with a join key."""

    def __init__(self, learner: Learner, identity: bytes = b"host", key: str = "join"):
        super().__init__(learner, (identity,), key)
        self.identity = identity

    def enter(self, **changes: Any) -> wire.Message:
        """Introduce itself; returns the answer."""
        fields = {
            "protocol": wire.PROTOCOL,
            "framework": framework.__version__,
            "run": "run",
            "session": f"session of {self.identity.decode()}",
            "host": "box",
            "samplers": 2,
            "process": 7,
        }
        self.send("enter", **(fields | changes))
        return self.receive()

    def sampler(self, number: int = 0) -> Peer:
        """One of the samplers behind it."""
        identity = f"{self.identity.decode()}/{number}"
        return Peer(self._learner, identity.encode(), (self.identity, b"%d" % number))

    def joined(self, number: int = 0) -> Peer:
        """A sampler behind it that is ready; what it and the host were sent for that is read."""
        sampler = self.sampler(number)
        sampler.join(sampler=f"box/sampler-{number}")
        return sampler

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

    def __init__(self, lag: int | None = 1):
        pipeline = {"evaluation": {"tasks": list(range(5000))}}
        admission = Admission("run", pipeline, "/folder", VERSIONS, COMPONENTS, SPECIFICATION)
        self.news: list[News] = []
        self.sent: dict[bytes, list[wire.Message]] = {}
        self.cut: set[bytes] = set()  # whose connections are no more
        leases = Leases(1, lag, credit=2)
        self.dispatcher = Dispatcher(leases, admission, 1, 10.0, self._send, self.news.append)
        self.dispatcher.publish(0, {"weights": np.zeros(8, np.uint8)})

    def _send(self, way: Way, type: str, arrays: Any = None, **fields: Any) -> bool:
        if way[0] in self.cut:
            return False
        self.sent.setdefault(b"".join(way), []).append(wire.decode(wire.encode(type, arrays, **fields), limit=2**30))
        return True

    def event(self, name: str) -> Event:
        """The first event of a name."""
        return next(news for news in self.news if isinstance(news, Event) and news.name == name)


class Peer:
    """A sampler of which every message is made by the test."""

    def __init__(self, learner: Learner, identity: bytes = b"peer"):
        self._learner = learner
        self.identity = identity

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        self._learner.dispatcher.receive((self.identity,), wire.encode(type, arrays, **fields))

    def receive(self) -> wire.Message:
        return self._learner.sent[self.identity].pop(0)

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

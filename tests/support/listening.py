"""A learner that listens on a network of this machine, without a run: its trajectories are made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trajectories
from dispatching import COMPONENTS
from processes import wait_for
from raw_peer import RawPeer

from framework.runtime.data.fingerprint import versions
from framework.runtime.data.specification import Specification
from framework.runtime.link.admission import Admission
from framework.runtime.link.keys import Keys
from framework.runtime.link.leases import Leases
from framework.runtime.link.listener import Listener
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted, Event
from framework.runtime.link.token import JoinToken

SPECIFICATION = Specification(trajectories.make(steps=1), 4)


class Learner:
    """A server with one shard, an honest sampler of this machine that has it, and all that was announced."""

    def __init__(self, folder: Path):
        self.events: list[Event] = []
        self._folder = folder / "run"
        self._folder.mkdir()
        listener = Listener("127.0.0.1:0", self._folder, lambda file, endpoint: None)
        admission = Admission("run", {"a": "pipeline"}, str(folder), versions(), COMPONENTS, SPECIFICATION)
        self.server = Server(f"ipc://{folder}/link", Leases(1, 1), admission, 1, grace=0.5, listener=listener)
        self.server.publish(0, {"weights": np.zeros(8, np.uint8)})
        self._honest = RawPeer(self.server.endpoint).__enter__()
        self._honest.join(SPECIFICATION.fingerprint, COMPONENTS)
        self._version = 0
        self._accepted: list[Accepted] = []

    @property
    def keys(self) -> Keys:
        return Keys(self._folder)

    @property
    def token(self) -> JoinToken:
        """That of the file ``join``."""
        return JoinToken.read(str(self._folder / "join"))

    def goes_on(self) -> None:
        """One more update: the honest sampler's next trajectory is accepted, and unchanged."""
        while (directive := self._honest.receive()).type != "directive":
            pass
        number = directive["number"]
        fields = {"shard": 0, "number": number, "version": directive["version"]}
        sent = trajectories.make(number, number=number).arrays
        self._honest.send("trajectory", sent, **fields, timing=[0.0, 0.0, 0.0])
        accepted = wait_for(lambda: self.hear() or (self._accepted and self._accepted.pop(0)))
        assert (accepted.host, accepted.trajectory.number) == ("", number)
        assert all(np.array_equal(accepted.trajectory.arrays[name], array) for name, array in sent.items())
        self._version += 1
        self.server.publish(self._version, {"weights": np.zeros(8, np.uint8)})
        self.server.release(1)

    def hear(self) -> None:
        """Take in what there is. Raises `RunError` where the link has failed."""
        while (news := self.server.receive(0.001)) is not None:
            if isinstance(news, Accepted):
                self._accepted.append(news)
            else:
                self.events.append(news)

    def names(self) -> list[str]:
        """Of all events so far."""
        self.hear()
        return [event.name for event in self.events]

    def close(self) -> None:
        self._honest.__exit__()
        self.server.close()

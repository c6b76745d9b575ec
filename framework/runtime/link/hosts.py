"""Hosts: machines whose samplers share one connection to the learner, with the weights crossing it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from framework.runtime.link.wire import ProtocolError

#: Samplers of a host that are lost so often in a row, without delivering anything, end its membership.
QUARANTINE_AFTER = 5
#: What the learner's own machine is called, and no other.
LEARNER = "learner"
#: Hosts of a run, and samplers of one host: bounds what who has a key can make the learner remember.
HOST_LIMIT, SAMPLER_LIMIT = 256, 1024
#: Versions whose arrival a host has not confirmed, beyond which it is sent no more of them: bounds what it can make
#: the learner hold by not reading.
UNCONFIRMED = 4
#: Seconds after which a host that confirms nothing has to make a new connection.
STUCK = 30.0


@define
class Host:
    """One host agent's membership of a run, from when it enters until it leaves or is forgotten."""

    session: str  #: random; the agent chose it
    name: str
    process: int
    key: str  #: the name of the join key that it has entered with; empty for one on this machine
    samplers: int  #: how many it says that it has
    peer: bytes | None = None  #: routing id of its connection; None while that is lost
    lost: float = 0.0  #: when its connection was lost, in seconds of a monotonic clock
    versions: set[int] = field(factory=set)  #: versions whose weights it was sent
    unconfirmed: set[int] = field(factory=set)  #: those of them that it has not said to have
    stuck: float | None = None  #: since when it has confirmed none of those; None where there are none
    reconnects: int = 0
    sessions: int = 0  #: of its samplers

    @property
    def who(self) -> dict[str, Any]:
        """The fields that tell of it in events."""
        return {"host": self.name, "process": self.process}

    def count_session(self) -> None:
        """One more of its samplers has said hello. Raises `ProtocolError` where there are many more than it said."""
        self.sessions += 1
        if self.sessions > 2 * min(self.samplers, SAMPLER_LIMIT):  # some may be about to be replaced
            raise ProtocolError(f"a host of {self.samplers} samplers has {self.sessions}")

    def confirm(self, version: int) -> None:
        """It has the weights of this version."""
        self.unconfirmed.discard(version)
        self.stuck = None

    def stays_stuck(self, now: float) -> bool:
        """Whether it has not confirmed any weights for so long that they, or what it says, must have been lost."""
        if not self.unconfirmed:
            self.stuck = None
        elif self.stuck is None:
            self.stuck = now
        return self.stuck is not None and now - self.stuck > STUCK


class Hosts:
    """The hosts of a run, by the session and by the connection that each has at present."""

    def __init__(self) -> None:
        self._by_session: dict[str, Host] = {}
        self._by_peer: dict[bytes, Host] = {}
        self._losses: Counter[str] = Counter()  # of samplers without deliveries, in a row, by the host's name

    def __len__(self) -> int:
        return len(self._by_session)

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._by_session.values()))

    def of_peer(self, peer: bytes) -> Host | None:
        """Whose connection this is; None for one that no host has."""
        return self._by_peer.get(peer)

    def get(self, session: str) -> Host | None:
        """The host with this session."""
        return self._by_session.get(session)

    def namesake(self, name: str) -> Host | None:
        """The host of this name."""
        return next((host for host in self._by_session.values() if host.name == name), None)

    def free_name(self, name: str) -> str:
        """The name, with a number where another host has it."""
        names = {LEARNER} | {host.name for host in self._by_session.values()}
        return next(free for free in (name, *(f"{name}-{n}" for n in range(2, len(names) + 3))) if free not in names)

    def connect(self, host: Host, peer: bytes) -> None:
        """A host, new or known, has this connection from now on, and no other."""
        self._by_session[host.session] = host
        self.disconnect(host)
        host.peer = peer
        self._by_peer[peer] = host

    def disconnect(self, host: Host, now: float = 0.0) -> None:
        """A host has no connection for the time being; what it was sent and did not confirm may be lost."""
        if host.peer is not None:
            del self._by_peer[host.peer]
            host.peer, host.lost = None, now
            host.versions -= host.unconfirmed
            host.unconfirmed.clear()
            host.stuck = None

    def forget(self, host: Host) -> None:
        """A host has left."""
        self.disconnect(host)
        del self._by_session[host.session]

    def count_loss(self, host: Host, deliveries: int) -> bool:
        """Count a sampler that a host has lost; whether that was one too many."""
        self._losses[host.name] = 0 if deliveries else self._losses[host.name] + 1
        return self.quarantined(host.name)

    def quarantined(self, name: str) -> bool:
        """Whether a host of this name may take no part any more."""
        return self._losses[name] >= QUARANTINE_AFTER

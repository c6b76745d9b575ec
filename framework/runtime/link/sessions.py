"""Sessions: the memberships of samplers, which outlive their connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from framework.runtime.link.hosts import Host

#: Routing ids of a connection, the learner's first: of a sampler behind a host there are two.
Way = tuple[bytes, ...]


@define
class Session:
    """One sampler's membership of a run, from its first hello until it is forgotten."""

    name: str  #: random; the sampler chose it
    sampler: str
    incarnation: int
    process: int
    host: Host | None = None  #: that it is behind; None for one that is connected to the learner itself
    way: Way | None = None  #: of its connection; None while that is lost
    lost: float = 0.0  #: when its connection was lost, in seconds of a monotonic clock
    ready: bool = False
    versions: set[int] = field(factory=set)  #: versions whose weights it was sent
    deliveries: int = 0
    restores: int = 0  #: shards that it was told to restore, less those of which it said that they cannot be

    @property
    def key(self) -> bytes:
        """What the leases know it by."""
        return self.name.encode()

    @property
    def who(self) -> dict[str, Any]:
        """The fields that tell of it in events."""
        return {"sampler": self.sampler, "incarnation": self.incarnation, "process": self.process}

    @property
    def place(self) -> str:
        """Where it is: the name of its host, or nothing."""
        return self.host.name if self.host else ""


class Sessions:
    """The sessions of a run, by name and by the connection that each has at present."""

    def __init__(self) -> None:
        self._by_name: dict[str, Session] = {}
        self._by_way: dict[Way, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_name.values()))

    def of_way(self, way: Way) -> Session | None:
        """Whose connection this is; None for a stranger's."""
        return self._by_way.get(way)

    def behind(self, host: Host) -> list[Session]:
        """The sessions of a host's samplers."""
        return [session for session in self if session.host is host]

    def get(self, name: str) -> Session | None:
        """The session of this name."""
        return self._by_name.get(name)

    def connect(self, session: Session, way: Way) -> None:
        """A session, new or known, has this connection from now on, and no other."""
        self._by_name[session.name] = session
        self.disconnect(session)
        session.way = way
        self._by_way[way] = session

    def disconnect(self, session: Session, now: float = 0.0) -> None:
        """A session has no connection for the time being."""
        if session.way is not None:
            del self._by_way[session.way]
            session.way, session.lost = None, now

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self.disconnect(session)
        del self._by_name[session.name]

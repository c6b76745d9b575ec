"""Sessions: the memberships of samplers, which outlive their connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field


@define
class Session:
    """One sampler's membership of a run, from its first hello until it is forgotten."""

    name: str  #: random; the sampler chose it
    sampler: str
    incarnation: int
    process: int
    peer: bytes | None = None  #: routing id of its connection; None while that is lost
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


class Sessions:
    """The sessions of a run, by name and by the connection that each has at present."""

    def __init__(self) -> None:
        self._by_name: dict[str, Session] = {}
        self._by_peer: dict[bytes, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_name.values()))

    def of_peer(self, peer: bytes) -> Session | None:
        """Whose connection this is; None for a stranger's."""
        return self._by_peer.get(peer)

    def get(self, name: str) -> Session | None:
        """The session of this name."""
        return self._by_name.get(name)

    def connect(self, session: Session, peer: bytes) -> None:
        """A session, new or known, has this connection from now on, and no other."""
        self._by_name[session.name] = session
        self.disconnect(session)
        session.peer = peer
        self._by_peer[peer] = session

    def disconnect(self, session: Session, now: float = 0.0) -> None:
        """A session has no connection for the time being."""
        if session.peer is not None:
            del self._by_peer[session.peer]
            session.peer, session.lost = None, now

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self.disconnect(session)
        del self._by_name[session.name]

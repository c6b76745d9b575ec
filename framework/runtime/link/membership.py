"""Who belongs to a run: the samplers and hosts that have introduced themselves, and their connections.

No sockets and no clocks are here.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from framework.exit_codes import ENVIRONMENT_FAILED, NOT_LET_IN, TRY_AGAIN, WRONG_VERSION
from framework.runtime.link import wire
from framework.runtime.link.admission import LINE_LIMIT, Admission, differences, printable
from framework.runtime.link.hosts import HOST_LIMIT, QUARANTINE_AFTER, Host, Hosts
from framework.runtime.link.sessions import Session, Sessions, Way
from framework.runtime.link.source import Event, News

#: Of so many connections and samplers it is remembered that they were refused.
_REMEMBERED = 1024

_NAME_LIMIT = 100  # letters of what a peer calls itself
_REASON_LIMIT = 2000

#: ``send(way, type, arrays, **fields)`` sends one message; whether there is a connection of that way.
Send = Callable[..., bool]


class Refused(wire.ProtocolError):
    """Who is not let in, or not any more, and with which exit code it is to end."""

    def __init__(self, reason: str, status: int, header: Mapping[str, Any] | None = None):
        super().__init__(reason)
        self.status = status
        self.who = _introduced(header or {})  #: who it says that it is, where it has no session


def _introduced(header: Mapping[str, Any]) -> dict[str, Any]:
    """Names and numbers of a header that nobody has checked."""
    names = {name: printable(header[name]) for name in ("sampler", "host") if isinstance(header.get(name), str)}
    return names | {name: header[name] for name in ("incarnation", "process") if isinstance(header.get(name), int)}


def _check_name(name: str) -> None:
    """Names are shown, recorded, and kept for as long as their owner is there."""
    if not (0 < len(name) <= _NAME_LIMIT and name.isprintable()):
        raise wire.ProtocolError(f"names and sessions have 1 to {_NAME_LIMIT} printable letters")


def no_keys(key: str, session: str) -> str | None:
    """Why a host may not enter with this key, in a run that has no keys: it needs none."""
    return None


class Membership:
    """The samplers and hosts of a run.

    A session outlives its connection by ``grace`` seconds; one that has not come back by then is forgotten.

    Args:
        admission: who is let in.
        kept_versions: how many versions back a host keeps.
        grace: seconds that a lost connection has to come back.
        send: see `Send`.
        announce: hears the news.
        left: is called with every session that has ended.
        admit: why a host with this session may not enter with the key of this name; None where it may.
    """

    def __init__(
        self,
        admission: Admission,
        kept_versions: int,
        grace: float,
        send: Send,
        announce: Callable[[News], None],
        left: Callable[[Session], None],
        admit: Callable[[str, str], str | None] = no_keys,
    ):
        self._admission = admission
        self._kept_versions = kept_versions
        self._grace = grace
        self._send = send
        self._announce = announce
        self._left = left
        self._admit = admit
        self._now = 0.0
        self._complete = False
        self._sessions = Sessions()
        self._hosts = Hosts()
        self._refused: dict[bytes, None] = {}  # connections, in their order
        self._rejected: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)  # samplers that were told, and incarnations
        # As an array: a pipeline may be larger than a header.
        self._pipeline = np.frombuffer(json.dumps(admission.pipeline).encode(), np.uint8)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions)

    @property
    def hosts(self) -> Iterator[Host]:
        """The hosts that have entered."""
        return iter(self._hosts)

    def listens_to(self, way: Way) -> bool:
        """Whether nobody was refused over this connection."""
        return way[0] not in self._refused

    def session_of(self, way: Way) -> Session | None:
        """Whose connection this is; None where it has to introduce itself."""
        return self._sessions.of_way(way)

    def host_of(self, way: Way) -> Host | None:
        """The host that this connection belongs to, or goes through."""
        return self._hosts.of_peer(way[0])

    def session(self, name: str) -> Session:
        """The session of this name, which is there."""
        session = self._sessions.get(name)
        assert session is not None
        return session

    # What connections are asked and told.

    def ask(self, way: Way) -> None:
        """Ask who it is that sends over a connection that nobody is known to have."""
        if len(way) > 1 and self._hosts.of_peer(way[0]) is None:
            way = way[:1]
        self._send(way, "who")

    def tell(self, session: Session, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> None:
        """Send a message to a sampler that is there; whether it still is shows in this."""
        if session.way is None or self._send(session.way, type, arrays, **fields):
            return
        if session.host is not None:
            self._lose(session.host)
        else:
            self._sessions.disconnect(session, self._now)
            if session.ready:
                self._announce(Event("sampler_disconnected", session.who))

    def tell_host(self, host: Host, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> None:
        """Send a message to a host that is there; whether it still is shows in this."""
        if host.peer is not None and not self._send((host.peer,), type, arrays, **fields):
            self._lose(host)

    def _lose(self, host: Host) -> None:
        """The connection of a host, and so of its samplers, is lost."""
        self._hosts.disconnect(host, self._now)
        for session in self._sessions.behind(host):
            self._sessions.disconnect(session, self._now)
        self._announce(Event("host_disconnected", host.who))

    def _gone(self, host: Host) -> None:
        self._announce(Event("host_gone", host.who))
        self._forget_host(host)

    # How they introduce themselves.

    def hello(self, way: Way, message: wire.Message) -> Session:
        """Open a session, or go on with one whose sampler has a new connection."""
        for name in ("session", "sampler"):
            _check_name(message[name])
        host = self._hosts.of_peer(way[0])
        if (host is None) != (len(way) == 1):
            raise wire.ProtocolError("samplers of other machines join through a host: framework sampler --join")
        connected = self._sessions.of_way(way)
        if connected is not None and connected.name != message["session"]:
            raise wire.ProtocolError("a second session over one connection")
        session = self._sessions.get(message["session"])
        new = session is None
        if session is None:
            names = message["session"], message["sampler"], message["incarnation"]
            session = Session(*names, message["process"], host)
            if host is not None:
                host.count_session()
        elif session.who != {name: message[name] for name in session.who} or session.host is not host:
            raise wire.ProtocolError("the session belongs to another sampler")
        self._sessions.connect(session, way)
        if reason := self._admission.check_versions(message["versions"]):
            raise Refused(reason, WRONG_VERSION)
        if new and (others := differences(self._admission.versions, message["versions"])):
            lines = list(others.values())[:LINE_LIMIT]
            self._announce(Event("sampler_differs", {**session.who, "differs": lines}))
        if session.ready and session is not connected and host is None:
            self._announce(Event("sampler_reconnected", session.who))
        fields = {"directory": self._admission.directory, "ready": session.ready}
        self.tell(session, "welcome", {"pipeline": self._pipeline}, **fields)
        return session

    def ready(self, session: Session, message: wire.Message) -> None:
        """A sampler has built what the pipeline says, and may be given work."""
        if session.ready:
            raise wire.ProtocolError("the sampler was ready before")
        if reason := self._admission.check_components(message["components"]):
            raise Refused(reason, WRONG_VERSION)
        if message["specification"] != self._admission.specification.fingerprint:
            reason = "the sampler's environment or policy gives other arrays than the learner's"
            raise Refused(reason, WRONG_VERSION)
        session.ready = True
        self._announce(Event("sampler_joined", session.who))

    def enter(self, way: Way, message: wire.Message, key: str) -> None:
        """Let a host in, or go on with one that has a new connection."""
        if len(way) > 1:
            raise wire.ProtocolError("a host behind a host")
        _check_name(message["session"])
        connected = self._hosts.of_peer(way[0])
        if connected is not None and connected.session != message["session"]:
            raise wire.ProtocolError("a second host over one connection")
        if reason := self._admit(key, message["session"]):
            raise Refused(reason, NOT_LET_IN)
        host = self._hosts.get(message["session"])
        known = host is not None
        if host is None:
            host = self._new_host(message, key)
            self._announce(Event("host_joined", {**host.who, "samplers": message["samplers"], "key": key}))
        elif host.key != key:
            raise Refused("the session belongs to another host", NOT_LET_IN)
        elif host.peer != way[0]:
            host.reconnects += 1
            self._announce(Event("host_reconnected", host.who))
            for session in self._sessions.behind(host):  # each says hello again, if it is still there
                self._sessions.disconnect(session, self._now)
        self._hosts.connect(host, way[0])
        self.tell_host(host, "entered", name=host.name, known=known, kept_versions=self._kept_versions)
        if self._complete:
            self.tell_host(host, "stop")

    def _new_host(self, message: wire.Message, key: str) -> Host:
        """A host that has not been here yet. It takes the place of one of its name whose connection is lost."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", message["host"][:64]) or "host"
        namesake = self._hosts.namesake(name)
        if namesake is not None:
            self.tell_host(namesake, "ping")
            if namesake.peer is None:
                self._gone(namesake)
        if len(self._hosts) >= HOST_LIMIT:
            raise Refused(f"{HOST_LIMIT} hosts have joined, and no more can", TRY_AGAIN)
        host = Host(message["session"], self._hosts.free_name(name), message["process"], key, message["samplers"])
        self._check_quarantine(name)
        self._check_quarantine(host.name)
        return host

    def _check_quarantine(self, name: str) -> None:
        if self._hosts.quarantined(name):
            reason = f"{QUARANTINE_AFTER} samplers of {name} ended without delivering anything: mend what ended them, "
            raise Refused(reason + "and join with another --name", ENVIRONMENT_FAILED)

    def inspect(self, way: Way) -> None:
        """Tell someone who may enter what it would have to agree with."""
        admission = self._admission
        self._send(
            way,
            "terms",
            {"pipeline": self._pipeline},
            versions=admission.versions,
            components=admission.components,
            exact=admission.exact,
            bytes=sum(admission.specification.bytes.values()),
        )

    # How they leave.

    def departed(self, host: Host, message: wire.Message) -> None:
        """A host says that the process of one of its samplers has ended."""
        session = self._sessions.get(message["session"])
        if session is None or session.host is not host:
            return  # which had not said hello yet
        self._announce(Event("sampler_lost", {**session.who, "status": message["status"]}))
        self._forget(session)
        if self._hosts.count_loss(host, session.deliveries):
            self._announce(Event("host_quarantined", host.who))
            self._check_quarantine(host.name)

    def leave(self, host: Host) -> None:
        """A host says that it leaves: its connection is of no use any more."""
        if host.peer is not None:
            self._ignore(host.peer)
        self._announce(Event("host_left", host.who))
        self._forget_host(host)

    def depart(self, sampler: str, incarnation: int) -> tuple[int, bool]:
        """The process of a sampler that is connected to the learner itself has ended.

        Returns how many trajectories that incarnation had delivered, and whether it had been rejected.
        """
        delivered = 0
        for session in self._sessions:
            if session.host is None and (session.sampler, session.incarnation) == (sampler, incarnation):
                delivered += session.deliveries
                self._forget(session)
        return delivered, (sampler, incarnation) in self._rejected

    def tick(self, now: float) -> bool:
        """Look after connections; whether somebody who was at work has been forgotten.

        Where a sampler or a host cannot be reached its connection is lost; one that stays lost for longer than the
        grace is forgotten.
        """
        self._now = now
        for host in self._hosts:
            if host.peer is not None and host.stays_stuck(now):
                self._ignore(host.peer)  # so it hears nothing, and connects anew
                self._lose(host)
            elif host.peer is not None:
                self.tell_host(host, "ping")
            elif now - host.lost > self._grace:
                self._gone(host)
        gone = False
        for session in self._sessions:
            if session.way is not None:
                if session.host is None:
                    self.tell(session, "ping")
            elif now - session.lost > self._grace:
                self._forget(session)
                gone |= session.ready
                if session.ready:
                    self._announce(Event("sampler_gone", session.who))
        return gone

    def revoke(self, revoked: Callable[[str, str], str | None]) -> None:
        """Refuse the hosts that have entered with a key which is not valid any more."""
        for host in self._hosts:
            if reason := revoked(host.key, host.session):
                self._refuse_host(host, Refused(reason, NOT_LET_IN))

    def stop(self, complete: bool) -> None:
        """Tell samplers to stop, those behind hosts only where the run is ``complete``: else it may be resumed."""
        self._complete = complete
        for session in self._sessions:
            if session.host is None:
                self.tell(session, "stop")
        for host in self._hosts:
            if complete:
                self.tell_host(host, "stop")

    def refuse(self, way: Way, error: wire.ProtocolError) -> None:
        """Do not listen to a connection any more, and end what belongs to it: a host answers for its samplers."""
        status = error.status if isinstance(error, Refused) else NOT_LET_IN
        who = error.who if isinstance(error, Refused) else {}
        refused = Refused(printable(str(error), _REASON_LIMIT), status, who)
        host, session = self._hosts.of_peer(way[0]), self._sessions.of_way(way)
        self._ignore(way[0])
        if host is not None:
            self._refuse_host(host, refused)
            return
        who = session.who if session else refused.who
        self._announce(Event("sampler_refused", {"reason": str(refused)} | who))
        self._send(way[:1], "reject", reason=str(refused), status=refused.status)
        if "sampler" in who and "incarnation" in who:
            self._rejected.append((who["sampler"], who["incarnation"]))
        if session is not None:
            self._forget(session)

    def _refuse_host(self, host: Host, refused: Refused) -> None:
        if host.peer is not None:
            self._ignore(host.peer)
            self.tell_host(host, "reject", reason=str(refused), status=refused.status)
        self._announce(Event("host_refused", {**host.who, "reason": str(refused)}))
        self._forget_host(host)

    def _ignore(self, peer: bytes) -> None:
        self._refused[peer] = None
        if len(self._refused) > _REMEMBERED:
            del self._refused[next(iter(self._refused))]

    def _forget_host(self, host: Host) -> None:
        for session in self._sessions.behind(host):
            self._forget(session)
        self._hosts.forget(host)

    def _forget(self, session: Session) -> None:
        if session.host is not None:
            session.host.sessions -= 1
        self._sessions.forget(session)
        self._left(session)

"""What the learner answers to each message of a sampler or a host. No sockets and no clocks are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from framework.exit_codes import WRONG_VERSION
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.data.specification import SpecificationError
from framework.runtime.data.trajectory import Timing, Trajectory
from framework.runtime.link import wire
from framework.runtime.link.admission import Admission, printable
from framework.runtime.link.event_limit import EventLimit
from framework.runtime.link.hosts import UNCONFIRMED, Host
from framework.runtime.link.leases import Grant, Leases
from framework.runtime.link.membership import Membership, Refused, Send, no_keys
from framework.runtime.link.sessions import Session, Way
from framework.runtime.link.source import Accepted, Event, Failure, News

#: What echoes hold: the same memory for all, as whoever asks for them need not read them.
_ECHO = np.zeros(wire.ECHO_LIMIT, np.uint8)
#: Letters of what a sampler says when it fails.
_MESSAGE_LIMIT, _TRACEBACK_LIMIT = 2_000, 10_000


class Dispatcher:
    """The learner's side of the protocol.

    A sampler's session outlives its connection. Work that it was granted stays its own for ``grace`` seconds after
    the connection was lost; when the sampler has connected again, and been asked who it is, it is told of it anew.

    Args:
        leases: the work of the run; from here on it belongs to the dispatcher.
        admission: who is let in.
        kept_versions: how many versions back a sampler may still ask for.
        grace: seconds that a lost connection has to come back.
        send: sends one message the way that a connection has; whether there is one.
        announce: hears the news.
        admit: whether a key lets a host in; see `Membership`.
    """

    def __init__(
        self,
        leases: Leases,
        admission: Admission,
        kept_versions: int,
        grace: float,
        send: Send,
        announce: Callable[[News], None],
        admit: Callable[[str, str], str | None] = no_keys,
    ):
        self._leases = leases
        self._admission = admission
        self._kept_versions = kept_versions
        self._send = send
        self._announce = EventLimit(announce)
        self._members = Membership(admission, kept_versions, grace, send, self._announce, self._leave, admit)
        self._snapshots: dict[int, PolicySnapshot] = {}
        self._bytes = sum(admission.specification.bytes.values())

    @property
    def has_hosts(self) -> bool:
        """Whether there are hosts that have not left."""
        return any(True for _ in self._members.hosts)

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """Make a policy version known; grant what was waiting for it."""
        self._snapshots[version] = snapshot
        for old in [number for number in self._snapshots if number < version - self._kept_versions]:
            del self._snapshots[old]
        for member in (*self._members, *self._members.hosts):
            member.versions &= self._snapshots.keys()
        self._leases.version = version
        self._grant()

    def release(self, trajectories: int) -> None:
        """Return credit for that many consumed trajectories; grant what was waiting for it."""
        self._leases.release(trajectories)
        self._grant()

    def depart(self, sampler: str, incarnation: int) -> tuple[int, bool]:
        """The process of a sampler on this machine has ended: grant to others what it held.

        Returns how many trajectories that incarnation had delivered, and whether it had been rejected.
        """
        departure = self._members.depart(sampler, incarnation)
        self._grant()
        return departure

    def tick(self, now: float) -> None:
        """Look after connections, about once a second: ``now`` is the time of a monotonic clock, in seconds."""
        self._announce.tick(now)
        if self._members.tick(now):
            # Nobody knows whether those who are gone come back, so nothing is kept for them.
            self._leases.expect(sum(session.ready for session in self._members))
        self._grant()

    def revoke(self, revoked: Callable[[str, str], str | None]) -> None:
        """Refuse hosts whose key is not valid any more: ``revoked(key, session)`` says why."""
        self._members.revoke(revoked)
        self._grant()

    def stop(self, complete: bool = True) -> None:
        """Tell samplers to stop; see `Membership.stop`."""
        self._members.stop(complete)

    def receive(self, way: Way, frames: Any, key: str = "") -> None:
        """Deal with one message, which came with the join key of this name.

        Who breaks the protocol is refused, and not listened to again. Who is not known is asked who it is: it may be
        a sampler whose connection, or whose learner, was another one before.
        """
        if not self._members.listens_to(way):
            return
        try:
            self._receive(way, frames, key)
        except wire.ProtocolError as error:
            self._members.refuse(way, error)
            self._grant()
        except SpecificationError as error:
            self._members.refuse(way, wire.ProtocolError(str(error)))
            self._grant()

    def _receive(self, way: Way, frames: Any, key: str) -> None:
        session = self._members.session_of(way)
        host = self._members.host_of(way)
        header = wire.header(frames)
        if header["type"] in wire.INTRODUCTIONS:
            if reason := self._admission.check_introduction(header):
                raise Refused(reason, WRONG_VERSION, header)
            self._introduce(way, wire.decode(frames, limit=0, fields=header), key)
        elif header["type"] == "echo" and key:
            message = wire.decode(frames, limit=wire.ECHO_LIMIT, fields=header)
            size = sum(array.nbytes for array in message.arrays.values())
            self._send(way, "echo", {"bytes": _ECHO[:size]}, number=message["number"])
        elif host is not None and len(way) == 1:
            self._receive_host(host, wire.decode(frames, limit=0, fields=header))
        elif session is None:
            self._members.ask(way)
        else:
            limit = self._bytes if session.ready else 0
            self._receive_sampler(session, wire.decode(frames, limit=limit, fields=header))

    def _introduce(self, way: Way, message: wire.Message, key: str) -> None:
        if message.type == "enter":
            self._members.enter(way, message, key)
        elif message.type == "inspect":
            self._members.inspect(way)
        elif key and len(way) == 1:
            raise wire.ProtocolError("samplers of other machines join through a host: framework sampler --join")
        else:
            self._direct_again(self._members.hello(way, message))

    def _receive_host(self, host: Host, message: wire.Message) -> None:
        if message.type == "departed":
            self._members.departed(host, message)
            self._grant()
        elif message.type == "have":
            host.confirm(message["version"])
        elif message.type == "alive":
            self._members.tell_host(host, "alive")
        elif message.type == "leave":
            self._members.leave(host)
            self._grant()
        else:
            raise wire.ProtocolError(f"a host does not send {message.type} messages")

    def _receive_sampler(self, session: Session, message: wire.Message) -> None:
        if message.type == "ready":
            self._members.ready(session, message)
            self._leases.join(session.key)
            self._grant()
        elif message.type == "failed":
            self._failed(session, message)
        elif not session.ready:
            raise wire.ProtocolError(f"a {message.type} message before the sampler was ready")
        elif message.type == "trajectory":
            self._trajectory(session, message)
        elif message.type == "pull":
            self._pull(session, message["version"])
        elif message.type == "alive":
            self._alive(session)
        elif message.type == "not_replayable":
            self._not_replayable(session, message)
        else:
            raise wire.ProtocolError(f"a sampler does not send {message.type} messages")

    def _trajectory(self, session: Session, message: wire.Message) -> None:
        shard, number, version = message["shard"], message["number"], message["version"]
        if not 0 <= shard < self._leases.shards:
            raise wire.ProtocolError(f"there is no shard {shard}")
        timing = message["timing"]
        if len(timing) != 3:
            raise wire.ProtocolError("a timing must be three numbers")
        self._admission.specification.check(message.arrays)
        trajectory = Trajectory(shard, number, version, dict(message.arrays), Timing(*timing))
        state = self._leases.accept(session.key, trajectory)
        if state is not None:
            session.deliveries += 1
            self._announce(Accepted(trajectory, state, session.place))
        self._members.tell(session, "acknowledge", shard=shard, number=number)
        self._grant()

    def _pull(self, session: Session, version: int) -> None:
        """Send weights again; where they are gone, because the sampler stalled, what it owes with them is regranted."""
        if session.host is not None and version in session.host.unconfirmed:
            return  # it is on its way
        if version in self._snapshots:
            (session.host or session).versions.discard(version)
            self._send_weights(session, version)
        elif version > self._leases.version:
            raise wire.ProtocolError(f"there is no version {version} yet")
        else:
            for shard, number in self._leases.withdraw(session.key, version):
                self._members.tell(session, "withdraw", shard=shard, number=number)
            self._grant()

    def _not_replayable(self, session: Session, message: wire.Message) -> None:
        environments = message.arrays.get("environments")
        if (
            environments is None
            or environments.dtype != np.int64
            or environments.ndim != 1
            or environments.size > self._admission.specification.environments
        ):
            raise wire.ProtocolError("a not_replayable message must name its environments")
        if not session.restores:
            raise wire.ProtocolError("a not_replayable message where nothing was to be restored")
        session.restores -= 1
        fields = {"sampler": session.sampler, **message.fields, "environments": environments.tolist()}
        self._announce(Event("not_replayable", fields))

    def _alive(self, session: Session) -> None:
        """An idle sampler asks whether there is nothing for it to do: what it owes is granted again."""
        self._members.tell(session, "alive")
        self._direct_again(session)

    def _failed(self, session: Session, message: wire.Message) -> None:
        said = printable(message["message"], _MESSAGE_LIMIT, "\n")
        self._announce(Event("sampler_failed", {**session.who, "message": said}))
        if session.host is None or session.ready:  # else something is wrong with that host, which will lose it
            traceback = printable(message["traceback"][-_TRACEBACK_LIMIT:], _TRACEBACK_LIMIT, "\n\t")
            self._announce(Failure(f"{session.sampler} failed: {said}\n{traceback}".rstrip()))

    def _leave(self, session: Session) -> None:
        self._leases.drop(session.key)

    def _grant(self) -> None:
        for grant in self._leases.grant():
            self._direct(grant)

    def _direct_again(self, session: Session) -> None:
        for grant in self._leases.again(session.key):
            self._direct(grant)

    def _direct(self, grant: Grant) -> None:
        session = self._members.session(grant.sampler.decode())
        if session.way is None:
            return  # it will be told when it is back
        # Weights that are gone, because the sampler was away, it asks for; then what it owes with them is withdrawn.
        if grant.version in self._snapshots:
            self._send_weights(session, grant.version)
        session.restores += grant.restore
        state = grant.state.to_arrays() if grant.restore and grant.state is not None else None
        fields = {"shard": grant.shard, "number": grant.number, "version": grant.version}
        self._members.tell(session, "directive", state, **fields, restore=grant.restore)

    def _send_weights(self, session: Session, version: int) -> None:
        """Send weights that a sampler lacks, or its host, which then has them for all of its samplers."""
        snapshot, host = self._snapshots[version], session.host
        if host is None:
            if version not in session.versions:
                session.versions.add(version)
                self._members.tell(session, "weights", snapshot, version=version)
        elif version not in host.versions and len(host.unconfirmed) < UNCONFIRMED:
            host.versions.add(version)
            host.unconfirmed.add(version)
            self._members.tell_host(host, "weights", snapshot, version=version)

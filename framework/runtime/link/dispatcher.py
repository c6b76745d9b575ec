"""What the learner answers to each message of a sampler. No sockets and no clocks are here."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen

import framework
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.data.specification import Specification, SpecificationError
from framework.runtime.data.trajectory import Timing, Trajectory
from framework.runtime.link import wire
from framework.runtime.link.leases import Grant, Leases
from framework.runtime.link.sessions import Session, Sessions
from framework.runtime.link.source import Accepted, Event, Failure, News

#: Of so many peers and samplers it is remembered that they were refused.
_REMEMBERED = 1024


@frozen
class Admission:
    """What a sampler is told, and what it must agree with."""

    run: str
    pipeline: dict[str, Any]
    directory: str
    components: str
    specification: Specification


class Dispatcher:
    """The learner's side of the protocol.

    A sampler's session outlives its connection. Work that it was granted stays its own for ``grace`` seconds after
    the connection was lost; when the sampler has connected again, and been asked who it is, it is told of it anew.

    Args:
        leases: the work of the run; from here on it belongs to the dispatcher.
        admission: who is let in.
        kept_versions: how many versions back a sampler may still ask for.
        grace: seconds that a lost connection has to come back.
        send: ``send(peer, type, arrays, **fields)`` sends one message to the peer of that routing id; whether there
            is a connection to it.
        announce: hears the news.
    """

    def __init__(
        self,
        leases: Leases,
        admission: Admission,
        kept_versions: int,
        grace: float,
        send: Callable[..., bool],
        announce: Callable[[News], None],
    ):
        self._leases = leases
        self._admission = admission
        self._kept_versions = kept_versions
        self._grace = grace
        self._send = send
        self._announce = announce
        self._now = 0.0
        self._snapshots: dict[int, PolicySnapshot] = {}
        self._sessions = Sessions()
        self._refused: dict[bytes, None] = {}  # in their order
        self._rejected: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)  # samplers that were told, and incarnations
        self._bytes = sum(admission.specification.bytes.values())

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """Make a policy version known; grant what was waiting for it."""
        self._snapshots[version] = snapshot
        for old in [number for number in self._snapshots if number < version - self._kept_versions]:
            del self._snapshots[old]
        for session in self._sessions:
            session.versions &= self._snapshots.keys()
        self._leases.version = version
        self._grant()

    def release(self, trajectories: int) -> None:
        """Return credit for that many consumed trajectories; grant what was waiting for it."""
        self._leases.release(trajectories)
        self._grant()

    def depart(self, sampler: str, incarnation: int) -> tuple[int, bool]:
        """The process of a sampler has ended: grant to others what it held.

        Returns how many trajectories that incarnation had delivered, and whether it had been rejected.
        """
        delivered = 0
        for session in self._sessions:
            if (session.sampler, session.incarnation) == (sampler, incarnation):
                delivered += session.deliveries
                self._forget(session)
        self._grant()
        return delivered, (sampler, incarnation) in self._rejected

    def tick(self, now: float) -> None:
        """Look after connections, about once a second: ``now`` is the time of a monotonic clock, in seconds.

        Where a sampler cannot be reached its connection is lost; one that stays lost for longer than the grace is
        forgotten, and what it held is granted to others.
        """
        self._now = now
        for session in self._sessions:
            if session.peer is not None:
                self._tell(session, "ping")
            elif now - session.lost > self._grace:
                self._forget(session)
                if session.ready:
                    self._announce(Event("sampler_gone", session.who))
                    # Nobody knows whether it comes back, so nothing is kept for it.
                    self._leases.expect(sum(present.ready for present in self._sessions))
        self._grant()

    def stop(self) -> None:
        """Tell every sampler to stop."""
        for session in self._sessions:
            self._tell(session, "stop")

    def receive(self, peer: bytes, frames: list[Any]) -> None:
        """Deal with one message.

        A peer that breaks the protocol is refused, and not listened to again. One that is not known is asked who it
        is: it may be a sampler whose connection, or whose learner, was another one before.
        """
        if peer in self._refused:
            return
        session = self._sessions.of_peer(peer)
        try:
            if session is None and wire.type_of(frames) not in ("hello", None):
                self._send(peer, "who")
                return
            message = wire.decode(frames, limit=self._bytes if session and session.ready else 0)
            if session is None or message.type == "hello":
                self._hello(peer, message)
            elif message.type == "ready":
                self._ready(session, message)
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
        except (wire.ProtocolError, SpecificationError) as error:
            self._refuse(peer, str(error))

    def _hello(self, peer: bytes, message: wire.Message) -> None:
        """Open a session, or go on with one whose sampler has a new connection."""
        connected = self._sessions.of_peer(peer)
        if connected is not None and connected.name != message["session"]:
            raise wire.ProtocolError("a second session over one connection")
        session = self._sessions.get(message["session"])
        if session is None:
            names = message["session"], message["sampler"], message["incarnation"]
            session = Session(*names, message["process"])
        elif session.who != {name: message[name] for name in session.who}:
            raise wire.ProtocolError("the session belongs to another sampler")
        self._sessions.connect(session, peer)
        expected = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": self._admission.run}
        for name, value in expected.items():
            if message[name] != value:
                raise wire.ProtocolError(f"this run has {name} {value!r}, the sampler has {message[name]!r}")
        if session.ready and session is not connected:
            self._announce(Event("sampler_reconnected", session.who))
        # As an array: a pipeline may be larger than a header.
        pipeline = np.frombuffer(json.dumps(self._admission.pipeline).encode(), np.uint8)
        fields = {"directory": self._admission.directory, "ready": session.ready}
        self._tell(session, "welcome", {"pipeline": pipeline}, **fields)
        self._direct_again(session)

    def _ready(self, session: Session, message: wire.Message) -> None:
        if session.ready:
            raise wire.ProtocolError("the sampler was ready before")
        if message["components"] != self._admission.components:
            raise wire.ProtocolError("the sampler has other versions of the pipeline's components")
        if message["specification"] != self._admission.specification.fingerprint:
            raise wire.ProtocolError("the sampler's environment or policy gives other arrays than the learner's")
        session.ready = True
        self._leases.join(session.key)
        self._announce(Event("sampler_joined", session.who))
        self._grant()

    def _trajectory(self, session: Session, message: wire.Message) -> None:
        shard, number, version = message["shard"], message["number"], message["version"]
        if not 0 <= shard < self._leases.shards:
            raise wire.ProtocolError(f"there is no shard {shard}")
        timing = message["timing"]
        if len(timing) != 3 or not all(isinstance(seconds, float) for seconds in timing):
            raise wire.ProtocolError("a timing must be three numbers")
        self._admission.specification.check(message.arrays)
        trajectory = Trajectory(shard, number, version, dict(message.arrays), Timing(*timing))
        state = self._leases.accept(session.key, trajectory)
        if state is not None:
            session.deliveries += 1
            self._announce(Accepted(trajectory, state))
        self._tell(session, "acknowledge", shard=shard, number=number)
        self._grant()

    def _pull(self, session: Session, version: int) -> None:
        """Send weights again; where they are gone, because the sampler stalled, what it owes with them is regranted."""
        if version in self._snapshots:
            self._send_weights(session, version)
        elif version > self._leases.version:
            raise wire.ProtocolError(f"there is no version {version} yet")
        else:
            for shard, number in self._leases.withdraw(session.key, version):
                self._tell(session, "withdraw", shard=shard, number=number)
            self._grant()

    def _not_replayable(self, session: Session, message: wire.Message) -> None:
        environments = message.arrays.get("environments")
        if environments is None or environments.dtype != np.int64 or environments.ndim != 1:
            raise wire.ProtocolError("a not_replayable message must name its environments")
        if not session.restores:
            raise wire.ProtocolError("a not_replayable message where nothing was to be restored")
        session.restores -= 1
        fields = {"sampler": session.sampler, **message.fields, "environments": environments.tolist()}
        self._announce(Event("not_replayable", fields))

    def _alive(self, session: Session) -> None:
        """An idle sampler asks whether there is nothing for it to do: what it owes is granted again."""
        self._tell(session, "alive")
        self._direct_again(session)

    def _failed(self, session: Session, message: wire.Message) -> None:
        self._announce(Event("sampler_failed", {**session.who, "message": message["message"]}))
        self._announce(Failure(f"{session.sampler} failed: {message['message']}\n{message['traceback']}".rstrip()))

    def _grant(self) -> None:
        for grant in self._leases.grant():
            self._direct(grant)

    def _direct_again(self, session: Session) -> None:
        for grant in self._leases.again(session.key):
            self._direct(grant)

    def _direct(self, grant: Grant) -> None:
        session = self._sessions.get(grant.sampler.decode())
        assert session is not None
        if session.peer is None:
            return  # it will be told when it is back
        # Weights that are gone, because the sampler was away, it asks for; then what it owes with them is withdrawn.
        if grant.version not in session.versions and grant.version in self._snapshots:
            self._send_weights(session, grant.version)
        session.restores += grant.restore
        state = grant.state.to_arrays() if grant.restore and grant.state is not None else None
        fields = {"shard": grant.shard, "number": grant.number, "version": grant.version}
        self._tell(session, "directive", state, **fields, restore=grant.restore)

    def _send_weights(self, session: Session, version: int) -> None:
        session.versions.add(version)
        self._tell(session, "weights", self._snapshots[version], version=version)

    def _tell(self, session: Session, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> None:
        """Send a message to a sampler that is there; whether it still is shows in this."""
        if session.peer is not None and not self._send(session.peer, type, arrays, **fields):
            self._sessions.disconnect(session, self._now)
            if session.ready:
                self._announce(Event("sampler_disconnected", session.who))

    def _refuse(self, peer: bytes, reason: str) -> None:
        session = self._sessions.of_peer(peer)
        self._refused[peer] = None
        if len(self._refused) > _REMEMBERED:
            del self._refused[next(iter(self._refused))]
        self._announce(Event("sampler_refused", {"reason": reason} | (session.who if session else {})))
        self._send(peer, "reject", reason=reason)
        if session is not None:
            self._rejected.append((session.sampler, session.incarnation))
            self._forget(session)
            self._grant()

    def _forget(self, session: Session) -> None:
        self._sessions.forget(session)
        self._leases.drop(session.key)

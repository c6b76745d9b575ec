"""What the learner answers to each message of a sampler. No sockets and no clocks are here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import define, field, frozen

import framework
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.data.specification import Specification, SpecificationError
from framework.runtime.data.trajectory import Timing, Trajectory
from framework.runtime.link import wire
from framework.runtime.link.leases import Grant, Leases
from framework.runtime.link.source import Accepted, Event, Failure, News


@frozen
class Admission:
    """What a sampler is told, and what it must agree with."""

    run: str
    pipeline: dict[str, Any]
    directory: str
    components: str
    specification: Specification


@define
class _Peer:
    identity: bytes
    sampler: str
    incarnation: int
    process: int
    ready: bool = False
    versions: set[int] = field(factory=set)
    deliveries: int = 0


class Dispatcher:
    """The learner's side of the protocol.

    Args:
        leases: the work of the run; from here on it belongs to the dispatcher.
        admission: who is let in.
        kept_versions: how many versions back a sampler may still ask for.
        send: ``send(identity, type, arrays, **fields)`` sends one message to the peer of that routing id.
        announce: hears the news.
    """

    def __init__(
        self,
        leases: Leases,
        admission: Admission,
        kept_versions: int,
        send: Callable[..., None],
        announce: Callable[[News], None],
    ):
        self._leases = leases
        self._admission = admission
        self._kept_versions = kept_versions
        self._send = send
        self._announce = announce
        self._snapshots: dict[int, PolicySnapshot] = {}
        self._peers: dict[bytes, _Peer] = {}
        self._refused: set[bytes] = set()
        self._rejected: set[tuple[str, int]] = set()  # sampler and incarnation of those that were told so
        self._bytes = sum(admission.specification.bytes.values())

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """Make a policy version known; grant what was waiting for it."""
        self._snapshots[version] = snapshot
        for old in [number for number in self._snapshots if number < version - self._kept_versions]:
            del self._snapshots[old]
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
        for peer in list(self._peers.values()):
            if (peer.sampler, peer.incarnation) == (sampler, incarnation):
                delivered += peer.deliveries
                self._forget(peer)
        self._grant()
        return delivered, (sampler, incarnation) in self._rejected

    def stop(self) -> None:
        """Tell every sampler to stop."""
        for identity in self._peers:
            self._send(identity, "stop")

    def receive(self, identity: bytes, frames: list[Any]) -> None:
        """Deal with one message; a peer that breaks the protocol is refused, and not listened to again."""
        if identity in self._refused:
            return
        peer = self._peers.get(identity)
        try:
            message = wire.decode(frames, limit=self._bytes if peer and peer.ready else 0)
            if peer is None:
                self._hello(identity, message)
            elif message.type == "ready":
                self._ready(peer, message)
            elif message.type == "failed":
                self._failed(peer, message)
            elif not peer.ready:
                raise wire.ProtocolError(f"a {message.type} message before the sampler was ready")
            elif message.type == "trajectory":
                self._trajectory(peer, message)
            elif message.type == "pull":
                self._pull(peer, message["version"])
            elif message.type == "alive":
                self._alive(peer)
            elif message.type == "not_replayable":
                self._not_replayable(peer, message)
            else:
                raise wire.ProtocolError(f"a sampler does not send {message.type} messages")
        except (wire.ProtocolError, SpecificationError) as error:
            self._refuse(identity, str(error))

    def _hello(self, identity: bytes, message: wire.Message) -> None:
        if message.type != "hello":
            raise wire.ProtocolError("the first message must be hello")
        sampler, incarnation = message["sampler"], message["incarnation"]
        predecessors = [
            peer for peer in self._peers.values() if peer.sampler == sampler and peer.incarnation < incarnation
        ]
        self._peers[identity] = _Peer(identity, sampler, incarnation, message["process"])
        expected = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": self._admission.run}
        for name, value in expected.items():
            if message[name] != value:
                raise wire.ProtocolError(f"this run has {name} {value!r}, the sampler has {message[name]!r}")
        for peer in predecessors:
            self._forget(peer)
        # As an array: a pipeline may be larger than a header.
        pipeline = np.frombuffer(json.dumps(self._admission.pipeline).encode(), np.uint8)
        self._send(identity, "welcome", {"pipeline": pipeline}, directory=self._admission.directory)

    def _ready(self, peer: _Peer, message: wire.Message) -> None:
        if message["components"] != self._admission.components:
            raise wire.ProtocolError("the sampler has other versions of the pipeline's components")
        if message["specification"] != self._admission.specification.fingerprint:
            raise wire.ProtocolError("the sampler's environment or policy gives other arrays than the learner's")
        peer.ready = True
        self._leases.join(peer.identity)
        self._announce(Event("sampler_joined", _who(peer)))
        self._grant()

    def _trajectory(self, peer: _Peer, message: wire.Message) -> None:
        shard, number, version = message["shard"], message["number"], message["version"]
        if not 0 <= shard < self._leases.shards:
            raise wire.ProtocolError(f"there is no shard {shard}")
        timing = message["timing"]
        if len(timing) != 3 or not all(isinstance(seconds, float) for seconds in timing):
            raise wire.ProtocolError("a timing must be three numbers")
        self._admission.specification.check(message.arrays)
        trajectory = Trajectory(shard, number, version, dict(message.arrays), Timing(*timing))
        state = self._leases.accept(peer.identity, trajectory)
        if state is not None:
            peer.deliveries += 1
            self._announce(Accepted(trajectory, state))
        self._send(peer.identity, "acknowledge", shard=shard, number=number)
        self._grant()

    def _pull(self, peer: _Peer, version: int) -> None:
        """Send weights again; where they are gone, because the sampler stalled, what it owes with them is regranted."""
        if version in self._snapshots:
            self._send_weights(peer, version)
        elif version > self._leases.version:
            raise wire.ProtocolError(f"there is no version {version} yet")
        else:
            for shard, number in self._leases.withdraw(peer.identity, version):
                self._send(peer.identity, "withdraw", shard=shard, number=number)
            self._grant()

    def _not_replayable(self, peer: _Peer, message: wire.Message) -> None:
        environments = message.arrays.get("environments")
        if environments is None or environments.dtype != np.int64 or environments.ndim != 1:
            raise wire.ProtocolError("a not_replayable message must name its environments")
        fields = {"sampler": peer.sampler, **message.fields, "environments": environments.tolist()}
        self._announce(Event("not_replayable", fields))

    def _alive(self, peer: _Peer) -> None:
        """An idle sampler asks whether there is nothing for it to do: what it owes is granted again."""
        self._send(peer.identity, "alive")
        for grant in self._leases.again(peer.identity):
            self._direct(grant)

    def _failed(self, peer: _Peer, message: wire.Message) -> None:
        self._announce(Event("sampler_failed", {**_who(peer), "message": message["message"]}))
        self._announce(Failure(f"{peer.sampler} failed: {message['message']}\n{message['traceback']}".rstrip()))

    def _grant(self) -> None:
        for grant in self._leases.grant():
            self._direct(grant)

    def _direct(self, grant: Grant) -> None:
        peer = self._peers[grant.sampler]
        if grant.version not in peer.versions:
            self._send_weights(peer, grant.version)
        state = grant.state.to_arrays() if grant.restore and grant.state is not None else None
        fields = {"shard": grant.shard, "number": grant.number, "version": grant.version}
        self._send(peer.identity, "directive", state, **fields, restore=grant.restore)

    def _send_weights(self, peer: _Peer, version: int) -> None:
        peer.versions.add(version)
        self._send(peer.identity, "weights", self._snapshots[version], version=version)

    def _refuse(self, identity: bytes, reason: str) -> None:
        peer = self._peers.get(identity)
        self._refused.add(identity)
        self._announce(Event("sampler_refused", {"reason": reason} | (_who(peer) if peer else {})))
        self._send(identity, "reject", reason=reason)
        if peer is not None:
            self._rejected.add((peer.sampler, peer.incarnation))
            self._forget(peer)

    def _forget(self, peer: _Peer) -> None:
        del self._peers[peer.identity]
        self._leases.drop(peer.identity)


def _who(peer: _Peer) -> dict[str, Any]:
    return {"sampler": peer.sampler, "incarnation": peer.incarnation, "process": peer.process}

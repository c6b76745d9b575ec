"""The learner's end of the link: a thread that grants work, takes trajectories and hands out weights.

One ROUTER serves every sampler. The thread owns the socket and the leases; the learner talks to it through a queue
of commands, and takes what it accepted from a queue of news.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import zmq
from attrs import define, field, frozen

import framework
from framework.errors import RunError
from framework.plugins import describe
from framework.runtime import wire
from framework.runtime.launch import NOT_LET_IN, Exit, Launcher
from framework.runtime.leases import Grant, Leases
from framework.runtime.shard import ShardState
from framework.runtime.trajectory import Specification, Timing, Trajectory
from framework.runtime.weights import Version

#: A sampler that is lost so often without delivering anything is not started again.
GIVE_UP_AFTER = 5
_TICK = 0.25  # seconds


@frozen
class Accepted:
    """A trajectory that the learner owns, and the state of its shard after it."""

    trajectory: Trajectory
    state: ShardState


@frozen
class Event:
    """Something that belongs into the run's record."""

    name: str
    fields: dict[str, Any]


@frozen
class Failure:
    """The run cannot go on."""

    message: str


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


class Link:
    """A running link. Everything but the constructor is called by the learner's thread.

    Args:
        endpoint: where to listen, such as ``ipc:///run/x/link``.
        leases: the work of the run; from here on it belongs to the link.
        admission: who is let in.
        launcher: starts the local samplers, and starts them again when they die.
        samplers: how many local ones to start.
        keep_versions: how many versions back a sampler may still ask for.
    """

    def __init__(
        self, endpoint: str, leases: Leases, admission: Admission, launcher: Launcher, samplers: int, keep_versions: int
    ):
        self._leases = leases
        self._admission = admission
        self._launcher = launcher
        self._samplers = samplers
        self._keep = keep_versions
        self._versions: dict[int, Version] = {}
        self._peers: dict[bytes, _Peer] = {}
        self._refused: set[bytes] = set()
        self._rejected: set[tuple[str, int]] = set()  # sampler and incarnation of those that were told so
        self._losses: dict[str, int] = {}
        self._stopping = False
        self._news: queue.SimpleQueue[Accepted | Event | Failure] = queue.SimpleQueue()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.BACKLOG, 1024)
        self._router.setsockopt(zmq.MAXMSGSIZE, max(wire.HEADER_LIMIT, *admission.specification.bytes.values()))
        self._router.bind(endpoint)
        self._endpoint = endpoint
        address = f"inproc://commands-{id(self)}"
        self._inbox, self._outbox = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        self._inbox.bind(address)
        self._outbox.connect(address)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()

    # The learner's side.

    def publish(self, number: int, version: Version) -> None:
        """Make a version known; trajectories that were waiting for it are granted."""
        self._command(lambda: self._publish(number, version))

    def trained(self, trajectories: int) -> None:
        """So many accepted trajectories have been used up."""
        self._command(lambda: self._trained(trajectories))

    def receive(self, timeout: float) -> Accepted | Event | None:
        """The next news, or None after ``timeout`` seconds. Raises `RunError` when the run cannot go on."""
        try:
            news = self._news.get(timeout=timeout)
        except queue.Empty:
            if not self._thread.is_alive():
                raise RunError("the link's thread has ended") from None
            return None
        if isinstance(news, Failure):
            raise RunError(news.message)
        return news

    def close(self) -> None:
        """Tell every sampler to stop, end the local ones, and free the socket."""
        self._command(self._stop)
        self._thread.join()
        self._context.destroy(linger=0)

    def _command(self, command: Callable[[], None]) -> None:
        self._commands.put(command)
        if self._thread.is_alive():
            self._outbox.send(b"")

    # The thread's side.

    def _run(self) -> None:
        try:
            for number in range(self._samplers):
                self._start(f"sampler-{number}", 0)
            poller = zmq.Poller()
            poller.register(self._router, zmq.POLLIN)
            poller.register(self._inbox, zmq.POLLIN)
            poller.register(self._launcher.fileno(), zmq.POLLIN)
            while not self._stopping:
                ready = dict(poller.poll(int(_TICK * 1000)))
                if self._inbox in ready:
                    self._inbox.recv()
                    self._commands.get()()
                if self._router in ready:
                    self._drain()
                if self._launcher.fileno() in ready:
                    for exited in self._launcher.exits():
                        self._exited(exited)
        except ChildProcessError as error:  # the helper: samplers end with it
            self._news.put(Failure(str(error)))
        except Exception as error:
            self._news.put(Failure(f"the link failed: {describe(error)}"))
        finally:
            self._launcher.close()

    def _drain(self) -> None:
        while True:
            try:
                identity, *frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            self._receive(identity.bytes, [frame.buffer for frame in frames])

    def _receive(self, identity: bytes, frames: list[Any]) -> None:
        if identity in self._refused:
            return
        peer = self._peers.get(identity)
        limit = sum(self._admission.specification.bytes.values()) if peer and peer.ready else 0
        try:
            message = wire.decode(frames, limit=limit)
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
        except wire.ProtocolError as error:
            self._refuse(identity, str(error))

    def _hello(self, identity: bytes, message: wire.Message) -> None:
        if message.type != "hello":
            raise wire.ProtocolError("the first message must be hello")
        sampler, incarnation = message["sampler"], message["incarnation"]
        predecessors = [
            peer for peer in self._peers.values() if peer.sampler == sampler and peer.incarnation < incarnation
        ]
        self._peers[identity] = _Peer(identity, sampler, incarnation, message["process"])
        mine = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": self._admission.run}
        for name, value in mine.items():
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
        self._news.put(Event("sampler_joined", _who(peer)))
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
            self._losses[peer.sampler] = 0
            self._news.put(Accepted(trajectory, state))
        self._send(peer.identity, "acknowledge", shard=shard, number=number)
        self._grant()

    def _pull(self, peer: _Peer, version: int) -> None:
        """Send weights again; where they are gone, because the sampler stalled, what it owes with them is regranted."""
        if version in self._versions:
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
        self._news.put(Event("not_replayable", fields))

    def _alive(self, peer: _Peer) -> None:
        """An idle sampler asks whether there is nothing for it to do: what it owes is granted again."""
        self._send(peer.identity, "alive", collecting=False)
        for grant in self._leases.again(peer.identity):
            self._direct(grant)

    def _failed(self, peer: _Peer, message: wire.Message) -> None:
        self._news.put(Event("sampler_failed", {**_who(peer), "message": message["message"]}))
        self._news.put(Failure(f"{peer.sampler} failed: {message['message']}\n{message['traceback']}".rstrip()))

    def _exited(self, exited: Exit) -> None:
        for peer in list(self._peers.values()):
            if (peer.sampler, peer.incarnation) == (exited.sampler, exited.incarnation):
                self._forget(peer)
        losses = self._losses[exited.sampler] = self._losses.get(exited.sampler, 0) + 1
        self._news.put(
            Event("sampler_lost", {"sampler": exited.sampler, "process": exited.process, "status": exited.status})
        )
        # An environment, too, may end its process with this exit code.
        if exited.status == NOT_LET_IN and (exited.sampler, exited.incarnation) in self._rejected:
            self._news.put(Failure(f"{exited.sampler} was not let in"))
            return
        if losses >= GIVE_UP_AFTER:
            self._news.put(
                Failure(f"{exited.sampler} died {losses} times in a row ({exited.reason}) without delivering anything")
            )
            return
        self._start(exited.sampler, exited.incarnation + 1)
        self._news.put(Event("sampler_replaced", {"sampler": exited.sampler, "incarnation": exited.incarnation + 1}))
        self._grant()

    def _start(self, sampler: str, incarnation: int) -> None:
        self._launcher.start(sampler, incarnation, self._admission.run, self._endpoint)

    def _publish(self, number: int, version: Version) -> None:
        self._versions[number] = version
        for old in [known for known in self._versions if known < number - self._keep]:
            del self._versions[old]
        self._leases.version = number
        self._grant()

    def _trained(self, trajectories: int) -> None:
        self._leases.trained(trajectories)
        self._grant()

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

    def _send_weights(self, peer: _Peer, number: int) -> None:
        peer.versions.add(number)
        self._send(peer.identity, "weights", self._versions[number], version=number)

    def _send(self, identity: bytes, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> None:
        try:
            self._router.send_multipart([identity, *wire.encode(type, arrays, **fields)], zmq.DONTWAIT, copy=False)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            # The peer is gone; its process's end, or its next hello, says what to do.

    def _refuse(self, identity: bytes, reason: str) -> None:
        peer = self._peers.get(identity)
        self._refused.add(identity)
        self._news.put(Event("sampler_refused", {"reason": reason} | (_who(peer) if peer else {})))
        self._send(identity, "reject", reason=reason)
        if peer is not None:
            self._rejected.add((peer.sampler, peer.incarnation))
            self._forget(peer)

    def _forget(self, peer: _Peer) -> None:
        del self._peers[peer.identity]
        self._leases.drop(peer.identity)

    def _stop(self) -> None:
        self._stopping = True
        for identity in self._peers:
            self._send(identity, "stop")


def _who(peer: _Peer) -> dict[str, Any]:
    return {"sampler": peer.sampler, "incarnation": peer.incarnation, "process": peer.process}

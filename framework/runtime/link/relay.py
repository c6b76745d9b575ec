"""A host's middle of the link: between the learner, over one connection, and the samplers of this machine.

It understands no more than it must. Messages pass as they are, with an envelope that names the sampler; weights come
once and are handed to every sampler that needs them.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from time import monotonic
from typing import Any

import zmq
from attrs import define, field

import framework
from framework.runtime.link import wire
from framework.runtime.link.client import End, LearnerSilent, Rejected, Stopped
from framework.runtime.link.mailbox import Mailbox
from framework.runtime.link.source import Event, Failure, News
from framework.runtime.link.token import JoinToken
from framework.runtime.link.uplink import Uplink

_LOOK = 0.25  # seconds after which the connection is looked after again
_PING = 1.0  # seconds after which samplers hear that their host is there
_BATCH = 256
_REMEMBERED = 256
_LINGER = 500  # milliseconds that a last word has to leave


class HostFailed(End):
    """The samplers of this host cannot work; ``status`` is the exit code of the last of them."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.status = status


@define
class _Sampler:
    """A sampler that has said hello."""

    name: str
    incarnation: int
    session: str
    deliveries: int = 0
    versions: set[int] = field(factory=set)  # whose weights it was sent
    wanted: set[int] = field(factory=set)  # whose weights it has asked for
    failure: str = ""  # what it said when it failed before it was ready


class Relay:
    """Passes messages on between samplers at ``endpoint`` and the learner of a token.

    Args:
        endpoint: where samplers of this machine connect.
        token: from the learner.
        name: that this host would like to have.
        samplers: how many will be started here.
        patience: seconds that the learner is waited for.
    """

    def __init__(self, endpoint: str, token: JoinToken, name: str, samplers: int, patience: float):
        self.endpoint = endpoint
        self._token = token
        self._patience = patience
        self._enter: dict[str, Any] = {
            "protocol": wire.PROTOCOL,
            "framework": framework.__version__,
            "run": token.run,
            "session": secrets.token_hex(16),
            "host": name,
            "samplers": samplers,
            "process": os.getpid(),
        }
        self._samplers: dict[bytes, _Sampler] = {}  # by routing id
        self._weights: dict[int, list[Any]] = {}  # frames, by version
        self._kept_versions = 0
        self._news: deque[News] = deque()
        self._departed: deque[bytes] = deque(maxlen=_REMEMBERED)  # messages about samplers whose process has ended
        self._last_words = ""  # of the last sampler that failed before it delivered anything
        self._last_status = 0
        self._serving = True
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.bind(endpoint)
        self._uplink = Uplink(self._context, token)
        self._mailbox = Mailbox(self._context, lambda: not self._serving)
        self._told = 0.0

    @property
    def learner(self) -> str:
        """The endpoint of the learner."""
        return self._uplink.endpoint

    # For the supervisor's thread.

    def depart(self, sampler: str, incarnation: int, status: int) -> tuple[int, bool]:
        """The process of a sampler has ended; see `framework.runtime.launch.supervisor.Roll`."""
        return self._mailbox.ask(lambda: self._depart(sampler, incarnation, status))

    def announce(self, *news: News) -> None:
        """Have `serve` tell of this."""
        self._mailbox.command(lambda: self._news.extend(news))

    # For the thread that has made it.

    def enter(self) -> str:
        """Be let in; returns the name that this host has. Raises what `serve` raises."""
        while True:
            for message in self._turn():
                if message.type == "entered":
                    return str(message["name"])

    def serve(self) -> Event:
        """Pass messages on until there is something to tell.

        Raises `Stopped` where the learner needs no more, `Rejected` and `KeyRefused` where it does not let this host
        in, `LearnerSilent` where it could not be reached for as long as the patience, `HostFailed` for samplers.
        """
        while True:
            while self._news:
                news = self._news.popleft()
                if isinstance(news, Failure):
                    reason = ": ".join(filter(None, (news.message, self._last_words)))
                    raise HostFailed(reason, self._last_status)
                if isinstance(news, Event):
                    return news
            for message in self._turn():
                if message.type == "entered":
                    self._return(message["known"])

    def leave(self) -> None:
        """Tell the learner that this host will not come back; nothing is passed on any more."""
        self._serving = False
        self._uplink.send([b"", *wire.encode("leave")])

    def close(self) -> None:
        """Close all connections, after `leave`."""
        self._uplink.close(linger=_LINGER)
        self._router.close()
        self._context.destroy()

    def _return(self, known: bool) -> None:
        """Go on after the connection was lost, or the learner is another one, which knows nothing of this host."""
        if not known:
            self._weights.clear()
        for departed in self._departed:
            self._uplink.send([b"", departed])
        for peer, sampler in self._samplers.items():
            sampler.versions &= self._weights.keys()
            self._to_sampler(peer, wire.encode("who"))  # it says hello, and once more what is not acknowledged

    def _turn(self) -> list[wire.Message]:
        """Wait for messages, and pass on what is not for this host itself; returns what is."""
        uplink, monitor = self._uplink.sockets
        poller = zmq.Poller()
        for socket in (self._router, uplink, monitor, self._mailbox.socket):
            poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(int(_LOOK * 1000)))
        if self._mailbox.socket in ready:
            self._mailbox.carry_out()
        if self._router in ready:
            self._receive_from_samplers()
        mine = self._receive_from_learner() if uplink in ready else []
        if self._uplink.look():
            self._uplink.send([b"", *wire.encode("enter", **self._enter)])
        if self._uplink.silence > self._patience:
            raise LearnerSilent
        if monotonic() - self._told > _PING:
            self._told = monotonic()
            for peer in self._samplers:
                self._to_sampler(peer, wire.encode("ping"))
        return mine

    def _receive_from_learner(self) -> list[wire.Message]:
        mine = []
        for _ in range(_BATCH):
            parts = self._uplink.receive()
            if parts is None:
                break
            way, frames = wire.split([part.buffer for part in parts])
            if way:
                self._pass_down(way[0], frames)
            else:
                message = self._mine(frames)
                mine += [message] if message is not None else []
        return mine

    def _mine(self, frames: Any) -> wire.Message | None:
        """A message for this host itself; None where it is dealt with."""
        header = wire.header(frames)
        if header["type"] == "weights":
            self._keep(header["version"], list(frames))
            return None
        message = wire.decode(frames, limit=0)
        if message.type == "stop":
            raise Stopped
        if message.type == "reject":
            raise Rejected(": ".join(filter(None, (message["reason"], self._last_words))), message["status"])
        if message.type == "who":
            self._uplink.send([b"", *wire.encode("enter", **self._enter)])
            return None
        if message.type == "entered":
            self._kept_versions = message["kept_versions"]  # at once: weights may follow in the same turn
        return message

    def _keep(self, version: int, frames: list[Any]) -> None:
        self._weights[version] = frames
        for old in [number for number in self._weights if number < version - self._kept_versions]:
            del self._weights[old]
        self._uplink.send([b"", *wire.encode("have", version=version)])
        for peer, sampler in self._samplers.items():
            sampler.versions &= self._weights.keys()
            if version in sampler.wanted:
                self._hand_out(peer, sampler, version)

    def _hand_out(self, peer: bytes, sampler: _Sampler, version: int) -> None:
        sampler.wanted.discard(version)
        sampler.versions.add(version)
        self._to_sampler(peer, self._weights[version])

    def _pass_down(self, peer: bytes, frames: Any) -> None:
        sampler = self._samplers.get(peer)
        if sampler is not None:
            header = wire.header(frames)
            if header["type"] == "acknowledge":
                sampler.deliveries += 1
            elif header["type"] == "directive":
                version = header["version"]
                if version in self._weights and version not in sampler.versions:
                    self._hand_out(peer, sampler, version)
        self._to_sampler(peer, frames)

    def _to_sampler(self, peer: bytes, frames: Any) -> None:
        self._router.send_multipart([peer, b"", *frames], copy=False)  # dropped where it is gone

    def _receive_from_samplers(self) -> None:
        for _ in range(_BATCH):
            try:
                parts = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            frames = [part.buffer for part in parts[2:]]
            if self._note(parts[0].bytes, frames):
                self._uplink.send(parts)

    def _note(self, peer: bytes, frames: Any) -> bool:
        """Look at what a sampler says; whether it is for the learner."""
        header = wire.header(frames)
        sampler = self._samplers.get(peer)
        if header["type"] == "hello":
            if sampler is None:
                self._samplers[peer] = _Sampler(header["sampler"], header["incarnation"], header["session"])
        elif sampler is not None:
            if header["type"] == "failed" and not sampler.deliveries:
                sampler.failure = header["message"]
            elif header["type"] == "pull" and header["version"] in self._weights:
                self._hand_out(peer, sampler, header["version"])
                return False
            elif header["type"] == "pull":
                sampler.wanted.add(header["version"])
        return True

    def _depart(self, name: str, incarnation: int, status: int) -> tuple[int, bool]:
        self._receive_from_samplers()
        self._last_words, self._last_status = "", status
        deliveries, sessions = 0, set()
        for peer, sampler in list(self._samplers.items()):  # one that was stopped for long has had two connections
            if (sampler.name, sampler.incarnation) == (name, incarnation):
                del self._samplers[peer]
                deliveries += sampler.deliveries
                self._last_words = self._last_words or sampler.failure
                sessions.add(sampler.session)
        for session in sessions:
            frames = wire.encode("departed", session=session, status=status)
            self._departed.append(frames[0])
            self._uplink.send([b"", *frames])
        return deliveries, bool(self._last_words)

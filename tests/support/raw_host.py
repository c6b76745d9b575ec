"""A host's socket, and those of who has no business to be one: every message is made by the test."""

from __future__ import annotations

from typing import Any

import zmq

import framework
from framework.runtime.data.fingerprint import versions
from framework.runtime.link import wire
from framework.runtime.link.curve import use_key
from framework.runtime.link.token import JoinToken


class RawHost:
    """Connects with the keys of a token, as a context manager; ``pair`` are other keys to do so with."""

    def __init__(self, token: JoinToken, pair: tuple[bytes, bytes] | None = None):
        self._token = token
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = 10_000
        self.socket.sndtimeo = 10_000  # of a learner that has gone
        use_key(self.socket, pair or (token.public.encode(), token.secret.encode()), token.server.encode())
        self.socket.connect(token.endpoints[-1])

    def __enter__(self) -> RawHost:
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.destroy(linger=0)

    def introduction(self) -> dict[str, Any]:
        """What each introduction says."""
        return {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": self._token.run}

    def send(self, type: str, arrays: Any = None, behind: tuple[bytes, ...] = (), **fields: Any) -> None:
        """Send a message; ``behind`` is the sampler's part of the way."""
        self.socket.send_multipart([*behind, b"", *wire.encode(type, arrays, **fields)])

    def receive(self) -> wire.Message:
        """The next message for anybody here, pings left out."""
        while True:
            assert self.socket.poll(10_000), "no answer"
            message = wire.decode(wire.split(self.socket.recv_multipart())[1], limit=2**30)
            if message.type != "ping":
                return message

    def enter(self, session: str = "", name: str = "host", samplers: int = 2) -> wire.Message:
        """Ask to be let in; returns the answer."""
        who = {"session": session or f"session {id(self)}", "host": name, "samplers": samplers, "process": 1}
        self.send("enter", **self.introduction(), **who)
        return self.receive()

    def hello(self, number: int = 0, **changes: Any) -> None:
        """Have a sampler say hello."""
        sampler = f"host/{number}"
        who = {"session": f"{sampler} of {id(self)}", "sampler": sampler, "incarnation": 0, "process": 2}
        fields = self.introduction() | who | {"versions": versions()} | changes
        self.send("hello", None, (sampler.encode(),), **fields)

"""A learner's socket, of which every message is made by the test."""

from __future__ import annotations

from typing import Any

import zmq

from framework.runtime.link import wire


class RawLearner:
    """Binds to an endpoint; the test receives and sends.

    With a ``pair`` of keys it is one that hosts connect to, and lets in everybody who knows its public key.
    """

    def __init__(self, endpoint: str, pair: tuple[bytes, bytes] | None = None):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        if pair is not None:
            self._socket.curve_server = True
            self._socket.curve_secretkey = pair[1]
        self._socket.bind(endpoint)
        self.way: tuple[bytes, ...] = ()

    def receive(self) -> wire.Message:
        """The next message of whichever sampler or host."""
        return wire.decode(self.frames(), limit=2**30)

    def frames(self) -> list[bytes]:
        assert self._socket.poll(10_000), "nothing was sent"
        self.way, frames = wire.split(self._socket.recv_multipart())
        return list(frames)

    def hears(self, milliseconds: int) -> bool:
        """Whether there is a message."""
        return bool(self._socket.poll(milliseconds))

    def send(self, type: str, arrays: Any = None, way: tuple[bytes, ...] = (), **fields: Any) -> None:
        """Send to a sampler or host; by default answer the one that was heard last."""
        self._socket.send_multipart([*(way or self.way), b"", *wire.encode(type, arrays, **fields)])

    def close(self) -> None:
        self._context.destroy(linger=0)

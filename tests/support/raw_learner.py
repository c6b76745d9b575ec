"""A learner's socket, of which every message is made by the test."""

from __future__ import annotations

from typing import Any

import zmq

from framework.runtime.link import wire


class RawLearner:
    """Binds to an endpoint; the test receives and sends."""

    def __init__(self, endpoint: str):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(endpoint)
        self.identity = b""

    def receive(self) -> wire.Message:
        """The next message of whichever sampler."""
        return wire.decode(self.frames(), limit=2**30)

    def frames(self) -> list[bytes]:
        assert self._socket.poll(10_000), "nothing was sent"
        self.identity, _, *frames = self._socket.recv_multipart()
        return frames

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        """Answer the sampler that was heard last."""
        self._socket.send_multipart([self.identity, b"", *wire.encode(type, arrays, **fields)])

    def close(self) -> None:
        self._context.destroy(linger=0)

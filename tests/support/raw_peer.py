"""A sampler's socket, of which every message is made by the test."""

from __future__ import annotations

import json
from typing import Any

import zmq

import framework
from framework.runtime.data.fingerprint import versions
from framework.runtime.link import wire

_VERSIONS = versions()  # asked for once: it takes seconds on a busy machine, and the peer's partners wait no longer


class RawPeer:
    """Connects to an endpoint, as a context manager."""

    def __init__(self, endpoint: str):
        self._endpoint = endpoint

    def __enter__(self) -> RawPeer:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(self._endpoint)
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.destroy(linger=0)

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        self._socket.send_multipart([b"", *wire.encode(type, arrays, **fields)])

    def receive(self) -> wire.Message:
        assert self._socket.poll(10_000), "no answer"
        return wire.decode(self._socket.recv_multipart()[1:], limit=2**30)

    def hello(self, sampler: str = "sampler-0", run: str = "run") -> None:
        """Say hello."""
        hello = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": run, "versions": _VERSIONS}
        self.send("hello", **hello, session=f"session {id(self)}", sampler=sampler, incarnation=0, process=1)

    def join(self, specification: str, components: dict[str, str], run: str = "run") -> tuple[dict[str, Any], str]:
        """Be ready for work, whether or not the learner agrees; returns the pipeline's values and its folder."""
        self.hello(run=run)
        welcome = self.receive()
        assert welcome.type == "welcome"
        self.send("ready", specification=specification, components=components)
        return json.loads(welcome.arrays["pipeline"].tobytes()), welcome["directory"]

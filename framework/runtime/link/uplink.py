"""A host's connection to the learner: over TCP with the keys of a join token, made anew whenever it is lost."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import monotonic
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from framework.runtime.link.address import host_and_port
from framework.runtime.link.client import End
from framework.runtime.link.curve import use_key
from framework.runtime.link.endpoint import HEARTBEAT, HEARTBEAT_TIMEOUT
from framework.runtime.link.token import JoinToken

#: Seconds without a word from the learner, who says one each second, after which the connection is made anew: TCP
#: itself takes twice the length of an interruption to notice its end.
_SILENCE = 2.5
_SILENCE_LIMIT = 60.0
#: Handshakes that fail in a row, where none has ever succeeded, before the learner is taken for another one.
_FAILURES = 10
_CONNECT_SECONDS = 1.0
_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)


class KeyRefused(End):
    """The learner does not know the token's key, or is not the one that the token is for."""


class Uplink:
    """A DEALER socket of ``context`` that is connected to the learner of a token, as far as it can be reached."""

    def __init__(self, context: zmq.Context[Any], token: JoinToken):
        self._context = context
        self._token = token
        self._established = False  # the handshake of this connection has succeeded
        self._ever = False  # one has succeeded
        self._failures = 0
        self._patience = _SILENCE
        self._since = 0.0  # when this connection was established
        self.heard = monotonic()  #: when the learner has last said anything
        self._connect()

    @property
    def sockets(self) -> tuple[zmq.Socket[Any], zmq.Socket[Any]]:
        """What to poll: what the learner says, and what becomes of the connection; others after each `look`."""
        return self.socket, self._monitor

    @property
    def silence(self) -> float:
        """Seconds since the learner has said anything."""
        return monotonic() - self.heard

    def send(self, frames: Sequence[Any]) -> bool:
        """Send a message; whether there is a connection that takes it."""
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
        return True

    def receive(self) -> list[zmq.Frame] | None:
        """The next message, if there is one."""
        try:
            frames: list[zmq.Frame] = self.socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        self.heard = monotonic()
        self._patience = _SILENCE
        return frames

    def look(self) -> bool:
        """Look after the connection; whether it is a new one. Raises `KeyRefused`."""
        new = False
        while self._monitor.poll(0):
            new |= self._note(recv_monitor_message(self._monitor)["event"])
        if self._established and monotonic() - max(self.heard, self._since) > self._patience:
            # It may be that a message is so long on its way: each time it is waited for twice as long.
            self._patience = min(2 * self._patience, _SILENCE_LIMIT)
            self.close()
            self._connect()
        return new

    def close(self, linger: int = 0) -> None:
        """Let the connection go; what was sent has ``linger`` milliseconds to leave."""
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=linger)

    def _note(self, event: int) -> bool:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._established = self._ever = True
            self._failures = 0
            self._since = monotonic()
            return True
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            refused = f"the run {self._token.run} does not let the join key {self._token.name} in"
            raise KeyRefused(f"{refused}: it was revoked, or has expired")
        self._established = False
        if event != zmq.EVENT_DISCONNECTED:
            self._failures += 1
            if self._failures >= _FAILURES and not self._ever:
                where = ", ".join(self._token.endpoints)
                raise KeyRefused(f"what listens at {where} is not the learner that the join token is for")
        return False

    def _connect(self) -> None:
        self._established = False
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.immediate = 1  # what cannot be sent now is sent again by whoever it comes from
        self.socket.setsockopt(zmq.CONNECT_TIMEOUT, int(_CONNECT_SECONDS * 1000))
        self.socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT)
        pair = self._token.public.encode(), self._token.secret.encode()
        use_key(self.socket, pair, self._token.server.encode())
        self._monitor = self.socket.get_monitor_socket(_EVENTS)
        self.endpoint = self._nearest()
        self.socket.ipv6 = "[" in self.endpoint
        self.socket.connect(self.endpoint)

    def _nearest(self) -> str:
        """The first endpoint of the token where something listens; where nothing does, the first one."""
        for endpoint in self._token.endpoints if len(self._token.endpoints) > 1 else ():
            try:
                socket.create_connection(host_and_port(endpoint), timeout=_CONNECT_SECONDS).close()
            except (OSError, UnicodeError):
                continue
            return endpoint
        return self._token.endpoints[0]

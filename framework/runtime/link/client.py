"""A sampler's end of the link: a DEALER socket, and what the learner's last words are."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

import numpy as np
import zmq

from framework.runtime.link import wire
from framework.runtime.link.endpoint import HEARTBEAT, HEARTBEAT_TIMEOUT

IDLE = 1.0  #: seconds without work after which the learner is asked whether there is any
SILENCE = 30.0  #: seconds without a word from the learner after which it is taken for gone
#: Bytes of a message of the learner's, whom a sampler trusts: more than any weights have.
_MESSAGE_LIMIT = 2**40


class End(BaseException):
    """The sampler is to end."""


class Stopped(End):
    """The learner needs no more."""


class Rejected(End):
    """The learner does not let this sampler in, which is to end with the exit code ``status``."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.status = status


class Superseded(End):
    """The run was resumed with another pipeline: this sampler has built what is not wanted any more."""


class LearnerSilent(End):
    """Nothing was heard from the learner for `SILENCE` seconds."""


class Client:
    """A connection to the learner at ``endpoint``."""

    def __init__(self, endpoint: str):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 5000)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT)
        self._socket.connect(endpoint)
        self._heard = self._told = monotonic()

    def send(self, type: str, arrays: Mapping[str, np.ndarray] | None = None, **fields: Any) -> list[Any]:
        """Send a message; returns its frames, for `send_again`."""
        frames = wire.encode(type, arrays, **fields)
        self.send_again(frames)
        return frames

    def send_again(self, frames: list[Any]) -> None:
        """Send frames that `send` returned."""
        self._socket.send_multipart([b"", *frames], copy=False)  # an envelope, for hosts on the way to write on

    def receive(self, seconds: float) -> wire.Message | None:
        """The next message, or None after ``seconds``. Raises `Stopped` and `Rejected` where it is such a one.

        None too where the learner only shows that it is there.
        """
        while self._socket.poll(int(seconds * 1000)):
            _, *frames = self._socket.recv_multipart(copy=False)
            self._heard = monotonic()
            message = wire.decode([frame.buffer for frame in frames], limit=_MESSAGE_LIMIT)
            if message.type == "ping":
                seconds = 0.0  # there may be more behind it, but nobody waits for that
                continue
            self._told = self._heard
            if message.type == "stop":
                raise Stopped
            if message.type == "reject":
                raise Rejected(message["reason"], message["status"])
            return message
        return None

    def wait(self) -> wire.Message:
        """The next message. Raises `LearnerSilent` where none comes, and what `receive` raises."""
        while (message := self.receive(IDLE)) is None:
            self.check_silence()
        return message

    def check_silence(self) -> None:
        """Raise `LearnerSilent` where the learner has been silent for too long."""
        if monotonic() - self._heard > SILENCE:
            raise LearnerSilent

    @property
    def idle(self) -> bool:
        """Whether the learner has said nothing for `IDLE` seconds but that it is there."""
        return monotonic() - self._told >= IDLE

    def was_busy(self) -> None:
        """Silence counts from now on: until now this sampler did not listen."""
        self._heard = self._told = monotonic()

    def close(self, linger: float = 0.0) -> None:
        """Disconnect; what was sent has ``linger`` seconds to leave."""
        self._socket.close(linger=int(linger * 1000))
        self._context.destroy(linger=0)

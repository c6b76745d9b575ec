"""The learner as a sampler hears it, without sockets: what it says is a script."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import tiny

from framework.pipeline.sections import Pipeline
from framework.runtime.data.shard import ShardState
from framework.runtime.link import wire
from framework.runtime.link.client import LearnerSilent, Stopped

Script = Callable[["FakeClient"], None]


class FakeClient:
    """A connection to a learner that says what the script has it say; when all is said it says stop.

    The script's steps are messages, and functions that are called where nothing more is to be received.
    """

    def __init__(self) -> None:
        self.script: deque[wire.Message | Script] = deque()
        self.sent: list[wire.Message] = []
        self.resent: list[wire.Message] = []
        self.now, self.heard = 0.0, 0.0
        self._frames: dict[int, wire.Message] = {}

    @property
    def idle(self) -> bool:
        return self.now - self.heard >= 1.0

    def send(self, type: str, arrays: Any = None, **fields: Any) -> list[Any]:
        frames = wire.encode(type, arrays, **fields)
        message = wire.decode([bytes(frame) for frame in frames], limit=2**30)
        self._frames[id(frames)] = message
        self.sent.append(message)
        return frames

    def send_again(self, frames: list[Any]) -> None:
        self.resent.append(self._frames[id(frames)])

    def receive(self, seconds: float) -> wire.Message | None:
        if self.script and isinstance(self.script[0], wire.Message):
            self.heard = self.now
            return self.script.popleft()  # type: ignore[return-value]
        if not seconds:
            return None
        if not self.script:
            raise Stopped
        step: Any = self.script.popleft()
        step(self)
        return None

    def wait(self) -> wire.Message:
        while (message := self.receive(1.0)) is None:
            pass
        return message

    def check_silence(self) -> None:
        if self.now - self.heard > 30.0:
            raise LearnerSilent

    def was_busy(self) -> None:
        self.heard = self.now

    def names(self) -> list[Any]:
        """What was sent after the sampler was ready, trajectories by shard, number and version."""
        return [
            (message["shard"], message["number"], message["version"]) if message.type == "trajectory" else message.type
            for message in self.sent[2:]
        ]


def message(type: str, arrays: Any = None, **fields: Any) -> wire.Message:
    return wire.decode([bytes(frame) for frame in wire.encode(type, arrays, **fields)], limit=2**30)


def welcome(pipeline: Pipeline, ready: bool = False) -> wire.Message:
    values = np.frombuffer(json.dumps(pipeline.to_plain()).encode(), np.uint8)
    return message("welcome", {"pipeline": values}, directory=str(pipeline.directory), ready=ready)


def weights(version: int) -> wire.Message:
    return message("weights", {"weights": tiny.weights(float(version))}, version=version)


def directive(shard: int, number: int, version: int, state: ShardState | None = None, **more: Any) -> wire.Message:
    """Told to restore where the shard begins, or a state is given."""
    restore = more.get("restore", number == 0 or state is not None)
    arrays = None if state is None else state.to_arrays()
    return message("directive", arrays, shard=shard, number=number, version=version, restore=restore)


def acknowledge(shard: int, number: int) -> wire.Message:
    return message("acknowledge", shard=shard, number=number)


def withdraw(shard: int, number: int) -> wire.Message:
    return message("withdraw", shard=shard, number=number)

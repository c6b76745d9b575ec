"""A sampler: joins a run, and does what it is told until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import deque
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import torch
import zmq

import framework
from framework.pipeline.sections import Pipeline
from framework.plugins import describe, traceback_of
from framework.runtime import wire
from framework.runtime.launch import DONE, ENVIRONMENT_FAILED, NOT_LET_IN, TRY_AGAIN
from framework.runtime.record import components_fingerprint
from framework.runtime.shard import ShardState
from framework.runtime.worker import Worker

IDLE = 1.0  #: seconds without work after which the learner is asked whether there is any
SILENCE = 30.0  #: seconds without a word from the learner after which it is taken for gone
#: Bytes of a message of the learner's, whom a sampler trusts: more than any weights have.
_MESSAGE_LIMIT = 2**40


class _Ending(BaseException):
    """The sampler is to end with this exit code."""

    def __init__(self, code: int):
        self.code = code


def run_sampler(endpoint: str, run: str, name: str, incarnation: int = 0) -> int:
    """Work for the learner at ``endpoint`` until it says stop; returns the process's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(endpoint, run, name, incarnation)
    except _Ending as ending:  # also one that came while another was dealt with
        return ending.code


def _run(endpoint: str, run: str, name: str, incarnation: int) -> int:
    torch.set_num_threads(1)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 5000)
    socket.connect(endpoint)
    sampler = _Sampler(socket)
    try:
        sampler.join(run, name, incarnation)
        sampler.serve()
    except Exception as error:
        sampler.send("failed", message=describe(error)[:5_000], traceback=traceback_of(error)[-10_000:])
        socket.close(linger=2000)
        return ENVIRONMENT_FAILED
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we are ending already
        sampler.close()
        context.destroy(linger=0)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Ending(DONE)


class _Sampler:
    def __init__(self, socket: zmq.Socket[bytes]):
        self._socket = socket
        self._worker: Worker | None = None
        self._work: deque[wire.Message] = deque()
        self._unacknowledged: dict[tuple[int, int], list[Any]] = {}
        self._heard = monotonic()

    def send(self, type: str, arrays: Any = None, **fields: Any) -> None:
        self._socket.send_multipart(wire.encode(type, arrays, **fields), copy=False)

    def join(self, run: str, name: str, incarnation: int) -> None:
        """Introduce ourselves, build what the pipeline says, and report that we are ready."""
        self.send(
            "hello",
            protocol=wire.PROTOCOL,
            framework=framework.__version__,
            run=run,
            sampler=name,
            incarnation=incarnation,
            process=os.getpid(),
        )
        while (welcome := self._next(IDLE)) is None:
            self._check_silence()
        if welcome.type != "welcome":
            raise wire.ProtocolError(f"the learner answered hello with {welcome.type}")
        values = json.loads(welcome.arrays["pipeline"].tobytes())
        pipeline = Pipeline.from_plain(values, Path(welcome["directory"]))
        self._worker = Worker(pipeline)
        fingerprint = self._worker.specification.fingerprint
        self.send("ready", specification=fingerprint, components=components_fingerprint(pipeline))
        self._heard = monotonic()

    def serve(self) -> NoReturn:
        """Collect what is granted, until `_Ending`."""
        while True:
            message = self._next(0 if self._work else IDLE)
            while message is not None:
                self._receive(message)
                message = self._next(0)
            if self._work:
                self._collect(self._work[0])
            elif monotonic() - self._heard >= IDLE:
                self._check_silence()
                self.send("alive", collecting=False)
                for frames in self._unacknowledged.values():
                    self._socket.send_multipart(frames, copy=False)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def _next(self, seconds: float) -> wire.Message | None:
        if not self._socket.poll(int(seconds * 1000)):
            return None
        frames = self._socket.recv_multipart(copy=False)
        self._heard = monotonic()
        message = wire.decode([frame.buffer for frame in frames], limit=_MESSAGE_LIMIT)
        if message.type == "stop":
            raise _Ending(DONE)
        if message.type == "reject":
            print(f"the learner does not let this sampler in: {message['reason']}", file=sys.stderr)
            raise _Ending(NOT_LET_IN)
        return message

    def _check_silence(self) -> None:
        if monotonic() - self._heard > SILENCE:
            print(f"nothing heard from the learner for {SILENCE:.0f} s", file=sys.stderr)
            raise _Ending(TRY_AGAIN)

    def _receive(self, message: wire.Message) -> None:
        assert self._worker is not None
        if message.type == "weights":
            self._worker.keep(message["version"], dict(message.arrays))
        elif message.type == "acknowledge":
            self._unacknowledged.pop((message["shard"], message["number"]), None)
        elif message.type == "directive":
            waiting = {(other["shard"], other["number"]) for other in self._work}
            shard, number = message["shard"], message["number"]
            if (shard, number) not in waiting and not self._worker.done(shard, number):
                self._work.append(message)
        elif message.type == "withdraw":
            shard, number = message["shard"], message["number"]
            self._work = deque(
                directive for directive in self._work if directive["shard"] != shard or directive["number"] < number
            )
        elif message.type not in ("alive", "welcome"):
            raise wire.ProtocolError(f"a learner does not send {message.type} messages")

    def _collect(self, directive: wire.Message) -> None:
        assert self._worker is not None
        shard, number, version = directive["shard"], directive["number"], directive["version"]
        while not self._worker.has(version):
            self.send("pull", version=version)
            while (message := self._next(IDLE)) is None:
                self._check_silence()
            self._receive(message)
            if not any(waiting is directive for waiting in self._work):
                return  # it was withdrawn: its version is gone
        self._work.popleft()
        if directive["restore"]:
            state = ShardState.from_arrays(directive.arrays) if directive.arrays else None
            lost = self._worker.restore(shard, state)
            if lost:
                self.send("not_replayable", {"environments": np.array(lost, np.int64)}, shard=shard)
        trajectory = self._worker.collect(shard, number, version)
        timing = trajectory.timing
        frames = wire.encode(
            "trajectory",
            trajectory.arrays,
            shard=shard,
            number=number,
            version=version,
            timing=[timing.acting, timing.stepping, timing.total],
        )
        self._unacknowledged[shard, number] = frames
        self._socket.send_multipart(frames, copy=False)

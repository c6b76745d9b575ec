"""A sampler: joins a run, and collects what it is granted until it is told to stop."""

from __future__ import annotations

import json
import os
import secrets
from collections import deque
from ctypes import c_double
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import framework
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import fingerprints, versions
from framework.runtime.data.shard import ShardState
from framework.runtime.link import wire
from framework.runtime.link.client import IDLE, Client, Superseded
from framework.runtime.rollout.watchdog import Watchdog
from framework.runtime.rollout.worker import Worker


class Sampler:
    """The work of one sampler, over a connection that it does not own.

    `join` comes first. Both end with whatever the client raises at the learner's last word, and with `Superseded`.

    Args:
        client: the connection.
        directory: where Python files that the pipeline names are looked for; by default where the learner says.
        deadline: see `framework.runtime.rollout.watchdog.Watchdog`.
    """

    def __init__(self, client: Client, directory: Path | None = None, deadline: c_double | None = None):
        self._client = client
        self._directory = directory
        self._worker: Worker | None = None
        self._deadline = deadline
        self._watchdog = Watchdog(0.0)
        self._directives: deque[wire.Message] = deque()
        self._unacknowledged: dict[tuple[int, int], list[Any]] = {}
        self._hello: dict[str, Any] = {}
        self._ready: dict[str, Any] = {}
        self._pipeline = b""
        self._greeting = False  # hello was said, and not answered yet

    def join(self, run: str, name: str, incarnation: int) -> None:
        """Introduce ourselves, build what the pipeline says, and report that we are ready."""
        self._hello = {
            "protocol": wire.PROTOCOL,
            "framework": framework.__version__,
            "run": run,
            "session": secrets.token_hex(16),
            "sampler": name,
            "incarnation": incarnation,
            "process": os.getpid(),
            "versions": versions(),
        }
        self._client.send("hello", **self._hello)
        welcome = self._client.wait()
        while welcome.type == "who":  # the host's connection to the learner was lost meanwhile, and hello with it
            self._client.send("hello", **self._hello)
            welcome = self._client.wait()
        if welcome.type != "welcome":
            raise wire.ProtocolError(f"the learner answered hello with {welcome.type}")
        self._pipeline = welcome.arrays["pipeline"].tobytes()
        pipeline = Pipeline.from_plain(json.loads(self._pipeline), self._directory or Path(welcome["directory"]))
        self._watchdog = Watchdog(pipeline.runtime.environment_timeout, self._deadline)
        with self._watchdog:
            self._worker = Worker(pipeline, self._watchdog)
        fingerprint = self._worker.specification.fingerprint
        self._ready = {"specification": fingerprint, "components": fingerprints(pipeline)}
        self._client.send("ready", **self._ready)
        self._client.was_busy()

    def serve(self) -> NoReturn:
        """Collect what is granted."""
        with self._watchdog:
            while True:
                self._watchdog.progress()
                message = self._client.receive(0 if self._directives else IDLE)
                while message is not None:
                    self._receive(message)
                    message = self._client.receive(0)
                if self._directives:
                    self._collect(self._directives[0])
                elif self._client.idle:
                    self._client.check_silence()
                    self._client.send("alive")
                    self._send_again()

    def close(self) -> None:
        """Close the environments."""
        if self._worker is not None:
            self._worker.close()

    def _receive(self, message: wire.Message) -> None:
        assert self._worker is not None
        if message.type == "weights":
            self._worker.keep(message["version"], dict(message.arrays))
        elif message.type == "acknowledge":
            self._unacknowledged.pop((message["shard"], message["number"]), None)
        elif message.type == "directive":
            waiting = {(directive["shard"], directive["number"]) for directive in self._directives}
            shard, number = message["shard"], message["number"]
            if (shard, number) not in waiting and not self._worker.done(shard, number):
                self._directives.append(message)
        elif message.type == "withdraw":
            shard, number = message["shard"], message["number"]
            self._directives = deque(
                directive
                for directive in self._directives
                if directive["shard"] != shard or directive["number"] < number
            )
        elif message.type == "who":  # the connection, or the learner, is another one
            self._client.send("hello", **self._hello)
            self._greeting = True
        elif message.type == "welcome" and self._greeting:
            self._greeting = False
            self._return(message)
        elif message.type not in ("alive", "welcome"):
            raise wire.ProtocolError(f"a learner does not send {message.type} messages")

    def _return(self, welcome: wire.Message) -> None:
        """Go on after the connection was lost: where it stood, or from nothing where the learner has forgotten us."""
        assert self._worker is not None
        if welcome["ready"]:
            self._send_again()
            return
        if welcome.arrays["pipeline"].tobytes() != self._pipeline:
            raise Superseded
        self._directives.clear()
        self._unacknowledged.clear()
        self._worker.forget()
        self._client.send("ready", **self._ready)

    def _send_again(self) -> None:
        """What is not acknowledged may have been lost."""
        for frames in self._unacknowledged.values():
            self._client.send_again(frames)

    def _collect(self, directive: wire.Message) -> None:
        assert self._worker is not None
        shard, number, version = directive["shard"], directive["number"], directive["version"]
        while not self._worker.has(version):
            self._client.send("pull", version=version)
            message = self._client.receive(IDLE)
            self._watchdog.progress()  # it is not the environments that are waited for
            if message is None:  # it may be that too many versions were on the way to this host: ask again
                self._client.check_silence()
                continue
            self._receive(message)
            if not any(waiting is directive for waiting in self._directives):
                return  # it was withdrawn: its version is gone
        self._directives.popleft()
        if directive["restore"]:
            state = ShardState.from_arrays(directive.arrays) if directive.arrays else None
            lost = self._worker.restore(shard, state)
            if lost:
                self._client.send("not_replayable", {"environments": np.array(lost, np.int64)}, shard=shard)
        trajectory = self._worker.collect(shard, number, version)
        timing = trajectory.timing
        self._unacknowledged[shard, number] = self._client.send(
            "trajectory",
            trajectory.arrays,
            shard=shard,
            number=number,
            version=version,
            timing=[timing.acting, timing.stepping, timing.total],
        )
        self._client.was_busy()

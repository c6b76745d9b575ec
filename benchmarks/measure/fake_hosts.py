"""Hosts that only pretend to collect: ``python -m measure.fake_hosts TOKEN_FILE HOSTS SAMPLERS RATE``.

Connections, keys and messages are real; every trajectory has the same arrays, made beforehand, and takes as long as the
rate of a sampler says. What happens is told on standard output, a line of JSON each, with the time of day.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import sys
import time
from typing import Any

import zmq

import framework
from framework.runtime.data.fingerprint import versions
from framework.runtime.link import wire
from framework.runtime.link.curve import use_key
from framework.runtime.link.token import JoinToken
from measure import trajectories

Key = tuple[int, bytes]  # host and sampler


class FakeHosts:
    """So many hosts, with so many samplers each that take ``1 / rate`` seconds for a trajectory."""

    def __init__(self, token: JoinToken, hosts: int, samplers: int, rate: float, size: str):
        self._token, self._count, self._samplers, self._rate = token, hosts, samplers, rate
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, hosts + 16)
        self._poller = zmq.Poller()
        self._sockets: list[zmq.Socket[Any]] = []
        self._waiting: dict[Key, list[dict[str, Any]]] = {}
        self._busy: list[tuple[float, Key]] = []  # a heap: when each sampler is done with what it collects
        self._free_at: dict[Key, float] = {}
        self._arrays = trajectories.make(size)
        self._fingerprint = trajectories.specification(size).fingerprint
        self._joined = 0
        self._seconds = 1.0 / rate if rate else 0.0

    def run(self) -> None:
        """Connect, and work until standard input ends."""
        versions()  # imports torch
        self._tell("starting")
        for number in range(self._count):
            socket = self._context.socket(zmq.DEALER)
            socket.linger = 0
            use_key(socket, (self._token.public.encode(), self._token.secret.encode()), self._token.server.encode())
            socket.connect(self._token.endpoints[0])
            self._sockets.append(socket)
            self._poller.register(socket, zmq.POLLIN)
            self._say(number, b"", "enter", host=f"fake-{number}", samplers=self._samplers, process=os.getpid())
        self._poller.register(sys.stdin.fileno(), zmq.POLLIN)
        numbers = {socket: number for number, socket in enumerate(self._sockets)}
        while True:
            pause = max(0.0, self._busy[0][0] - time.monotonic()) if self._busy else 1.0
            for socket, _ in self._poller.poll(pause * 1000):
                if socket not in numbers:
                    return
                self._receive(numbers[socket], socket)
            now = time.monotonic()
            while self._busy and self._busy[0][0] <= now:
                self._deliver(*heapq.heappop(self._busy)[1])

    def _receive(self, number: int, socket: zmq.Socket[Any]) -> None:
        for _ in range(64):
            try:
                parts = socket.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            way, frames = wire.split([part.buffer for part in parts])
            self._answer(number, way[0] if way else b"", wire.header(frames))

    def _answer(self, number: int, sampler: bytes, header: dict[str, Any]) -> None:
        kind = header["type"]
        if kind == "entered":
            for index in range(self._samplers):
                fields = {"sampler": f"{header['name']}/{index}", "incarnation": 0, "process": index}
                self._say(number, b"%d" % index, "hello", **fields, versions=versions())
        elif kind == "welcome":
            self._say(number, sampler, "ready", specification=self._fingerprint, components=trajectories.COMPONENTS)
        elif kind == "weights":
            self._say(number, b"", "have", version=header["version"])
            self._tell("weights", version=header["version"], host=number)
        elif kind == "directive":
            waiting = self._waiting.setdefault((number, sampler), [])
            if not waiting and (number, sampler) not in self._free_at:
                self._joined += 1
                if self._joined == self._count * self._samplers:
                    self._tell("joined")
            waiting.append({name: header[name] for name in ("shard", "number", "version")})
            if len(waiting) == 1:
                begin = max(time.monotonic(), self._free_at.get((number, sampler), 0.0))
                heapq.heappush(self._busy, (begin + self._seconds, (number, sampler)))
        elif kind == "reject":
            raise RuntimeError(header["reason"])

    def _deliver(self, number: int, sampler: bytes) -> None:
        waiting = self._waiting[number, sampler]
        self._say(number, sampler, "trajectory", self._arrays, **waiting.pop(0), timing=[0.0, 0.0, 0.0])
        now = time.monotonic()
        self._free_at[number, sampler] = now
        if waiting:
            heapq.heappush(self._busy, (now + self._seconds, (number, sampler)))

    def _say(self, number: int, stage: bytes, type: str, arrays: Any = None, /, **fields: Any) -> None:
        if type in ("hello", "enter"):
            session = f"{os.getpid()} {number} {stage.decode()}"
            fields |= {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": self._token.run}
            fields |= {"session": session}
        way = [stage] if stage else []
        self._sockets[number].send_multipart([*way, b"", *wire.encode(type, arrays, **fields)], copy=False)

    def _tell(self, what: str, **fields: Any) -> None:
        print(json.dumps({"what": what, "at": time.time(), **fields}), flush=True)


def main() -> None:
    """Pretend until standard input ends."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("token")
    arguments.add_argument("hosts", type=int)
    arguments.add_argument("samplers", type=int)
    arguments.add_argument("rate", type=float)
    arguments.add_argument("--size", default="30 kB", choices=tuple(trajectories.OBSERVATIONS))
    options = arguments.parse_args()
    token = JoinToken.read(options.token)
    FakeHosts(token, options.hosts, options.samplers, options.rate, options.size).run()


if __name__ == "__main__":
    main()

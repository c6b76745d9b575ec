"""Attacks on a learner that listens: ``python attack.py ATTACK TOKEN COUNT``, a process of its own.

It prints what it has done, and ends; with ``hold`` as a fourth argument it stays until its input ends.
"""

from __future__ import annotations

import itertools
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from raw_host import RawHost

from framework.runtime.link import wire
from framework.runtime.link.address import host_and_port
from framework.runtime.link.token import JoinToken

#: What a ZeroMQ connection begins with: signature, version 3.1, mechanism, as no server; then a CURVE command.
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
_HELLO = b"\x04\xc8\x05HELLO\x01\x00" + bytes(192)
_PER_CONNECTION = 500


def connect(token: JoinToken, count: int) -> str:
    """Strangers that say nothing, or no more than a greeting."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = []
    for number in range(min(count, most - 100)):
        try:
            connections.append(socket.create_connection(host_and_port(token.endpoints[-1]), timeout=2.0))
            connections[-1].sendall(_GREETING[: 64 * (number % 2)])
        except OSError:
            break  # the learner has no descriptors left
    _kept.extend(connections)
    return f"{len(connections)} connections"


def frames_before(token: JoinToken, count: int) -> str:
    """Frames of who has not proved any key: random ones, and CURVE's own with nonsense in them."""
    sent = 0
    for number in itertools.count():
        if sent >= count:
            return f"{sent} frames"
        payload = b"".join(b"\x00\x20" + os.urandom(32) for _ in range(_PER_CONNECTION))
        with suppress(OSError), socket.create_connection(host_and_port(token.endpoints[-1]), timeout=2.0) as stranger:
            stranger.sendall((_GREETING, _GREETING + _HELLO, b"")[number % 3] + payload)
        sent += _PER_CONNECTION
    raise AssertionError


def frames_after(token: JoinToken, count: int) -> str:
    """Frames of who has a key: each connection is refused at its first and goes on to a thousand."""
    sent = 0
    while sent < count:
        with RawHost(token) as host:
            host.enter(f"session {os.getpid()} {sent}", "flood")
            for frames in itertools.islice(_nonsense(), 1000):
                host.socket.send_multipart(frames)
            sent += 1000
            host.socket.close(linger=5000)
    return f"{sent} frames"


def _nonsense() -> Iterator[list[bytes]]:
    rng = np.random.default_rng(0)
    fields = {"shard": 0, "number": 0, "version": 0, "timing": [0.0, 0.0, 0.0]}
    whole = [bytes(frame) for frame in wire.encode("trajectory", {"a": np.zeros(9)}, **fields)]
    while True:
        yield [b"", rng.bytes(100)]
        yield [b"", b"\x81\xa4type\xa5hello" + rng.bytes(8)]
        yield [b"", *whole]
        yield [b"host/0", b"", *whole]
        yield [rng.bytes(300), b"", b""]
        yield [rng.bytes(3)] * 5


def unread(token: JoinToken, count: int) -> str:
    """Requests whose answers are never read: an inspection, weights, and the largest echo there is."""
    host = RawHost(token)
    _kept.append(host)
    host.enter(f"session {os.getpid()}", "deaf")
    host.hello()
    echo = wire.encode("echo", {"a": np.zeros(wire.ECHO_LIMIT, np.uint8)}, number=1)
    rounds: list[Callable[[], Any]] = [
        lambda: host.send("inspect", **host.introduction()),
        lambda: host.socket.send_multipart([b"", *echo], copy=False),
        host.hello,
        lambda: host.send("alive"),
    ]
    for _, ask in zip(range(count), itertools.cycle(rounds), strict=False):
        ask()
    return f"{count} requests"


def polite(token: JoinToken, count: int) -> str:
    """Messages that break no rule, as many as there can be."""
    with RawHost(token) as host:
        host.enter(f"session {os.getpid()}", "polite")
        for number in range(count):
            host.send("have", version=number)
            while host.socket.poll(0):
                host.socket.recv_multipart()
        host.socket.close(linger=5000)
    return f"{count} messages"


_kept: list[Any] = []


def main() -> None:
    attack, text, count, *hold = sys.argv[1:]
    attacks = {function.__name__: function for function in (connect, frames_before, frames_after, unread, polite)}
    print(attacks[attack](JoinToken.parse(text), int(count)), flush=True)
    if hold:
        sys.stdin.read()
    os._exit(0)  # what is held need not be closed in good order


if __name__ == "__main__":
    main()

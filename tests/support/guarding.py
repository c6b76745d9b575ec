"""Sockets with and without keys, on loopback: for the tests of who is let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from framework.runtime.link.curve import Guard, require_keys, use_key

PAIR = zmq.curve_keypair()


@contextmanager
def guarded(known: Callable[[str], bool]) -> Iterator[tuple[Guard, zmq.Socket[Any], str, bytes]]:
    """A guard, a socket that asks for keys, its endpoint, and its public key."""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context:
        guard = Guard(context, known)
        with context.socket(zmq.ROUTER) as router:
            router.linger = 0
            require_keys(router, secret)
            port = router.bind_to_random_port("tcp://127.0.0.1")
            try:
                yield guard, router, f"tcp://127.0.0.1:{port}", public
            finally:
                guard.close()


@contextmanager
def dealer(endpoint: str, server: bytes | None = None, pair: tuple[bytes, bytes] = PAIR) -> Iterator[zmq.Socket[Any]]:
    """A socket that connects to ``endpoint``, with a pair of keys where the server has one."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        if server is not None:
            use_key(socket, pair, server)
        socket.ipv6 = "[" in endpoint
        socket.connect(endpoint)
        yield socket

"""A look at a run that one might join: what it asks of samplers, and how well it can be reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import zmq
from attrs import frozen

import framework
from framework.errors import RunError
from framework.runtime.link import wire
from framework.runtime.link.token import JoinToken
from framework.runtime.link.uplink import KeyRefused, Uplink

_SECONDS = 10.0  # that the learner has for each answer
_ROUND_TRIPS = 20
_MEGABYTES = 32


@frozen
class Inspection:
    """What a learner tells someone who has a key, and how it answered."""

    endpoint: str
    pipeline: dict[str, Any]
    versions: dict[str, str]
    components: dict[str, str]
    exact: bool  #: whether versions must be equal
    bytes: int  #: of a trajectory, at most
    round_trip: float  #: seconds
    bandwidth: float  #: bytes a second, there and back at once


def inspect(token: JoinToken) -> Inspection:
    """Ask the learner of a token. Raises `RunError` where it cannot be reached, or does not let its key in."""
    with _connected(token) as uplink:
        terms = _answer(uplink, "inspect", protocol=wire.PROTOCOL, framework=framework.__version__, run=token.run)
        if terms.type == "reject":
            raise RunError(terms["reason"])
        round_trips = [_echo(uplink, 1, 1) for _ in range(_ROUND_TRIPS)]
        seconds = _echo(uplink, wire.ECHO_LIMIT, _MEGABYTES)
        return Inspection(
            endpoint=uplink.endpoint,
            pipeline=json.loads(terms.arrays["pipeline"].tobytes()),
            versions=terms["versions"],
            components=terms["components"],
            exact=terms["exact"],
            bytes=terms["bytes"],
            round_trip=median(round_trips),
            bandwidth=_MEGABYTES * wire.ECHO_LIMIT / seconds,
        )


@contextmanager
def _connected(token: JoinToken) -> Iterator[Uplink]:
    context = zmq.Context()
    uplink = Uplink(context, token)
    try:
        deadline = perf_counter() + _SECONDS
        while not uplink.look():
            if perf_counter() > deadline:
                raise RunError(f"nothing answers at {', '.join(token.endpoints)}: is the run there, and the port open?")
            uplink.sockets[1].poll(100)
        yield uplink
    except KeyRefused as refused:
        raise RunError(str(refused)) from None
    finally:
        uplink.close()
        context.destroy(linger=0)


def _answer(uplink: Uplink, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> wire.Message:
    uplink.send([b"", *wire.encode(type, arrays, **fields)])
    return _next(uplink)


def _next(uplink: Uplink) -> wire.Message:
    if not uplink.socket.poll(int(_SECONDS * 1000)) or (parts := uplink.receive()) is None:
        raise RunError(f"{uplink.endpoint} does not answer")
    _, frames = wire.split([part.buffer for part in parts])
    return wire.decode(frames, limit=2**30)


def _echo(uplink: Uplink, size: int, count: int) -> float:
    """Seconds in which so many messages of a size go there and come back."""
    array = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    started = perf_counter()
    for number in range(count):
        uplink.send([b"", *wire.encode("echo", {"bytes": array}, number=number)])
    for _ in range(count):
        if _next(uplink).type != "echo":
            raise RunError(f"{uplink.endpoint} gives other answers than it was asked for")
    return perf_counter() - started

"""Synthetic trajectories of two sizes, and the program that sends them: ``python -m measure.trajectories``."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import msgpack
import numpy as np
import zmq

import framework
from framework.runtime.data.fingerprint import versions
from framework.runtime.data.specification import Specification
from framework.runtime.data.trajectory import EPISODE_COLUMNS, Trajectory
from framework.runtime.link import wire
from framework.runtime.link.admission import Admission
from framework.runtime.link.curve import use_key

STEPS, ENVIRONMENTS = 128, 8
RUN, SAMPLER = "benchmark", "sampler-0"
COMPONENTS: dict[str, str] = {}
#: Shape and dtype of one observation: a number makes 0.03 MB, a vector 0.29 MB, four stacked frames 29 MB.
OBSERVATIONS = {"30 kB": ((1,), np.float32), "290 kB": ((64,), np.float32), "29 MB": ((4, 84, 84), np.uint8)}
#: How many messages may wait in a bare socket, and how many trajectories the link grants ahead.
AHEAD = 8

Arrays = dict[str, np.ndarray]


def make(size: str, steps: int = STEPS) -> Arrays:
    """The arrays of a trajectory in which every environment finishes one episode."""
    shape, dtype = OBSERVATIONS[size]
    rng = np.random.default_rng(0)
    count = ENVIRONMENTS
    index = (steps // 2) * count + np.arange(count)
    ended = np.zeros((steps, count), bool)
    ended.flat[index] = True
    first = np.concatenate([np.zeros((1, count), bool), ended])

    def observations(*leading: int) -> np.ndarray:
        return (rng.random((*leading, *shape)) * 255).astype(dtype)

    return {
        "observations/observation": observations(steps + 1, count),
        "final_observations/observation": observations(count),
        "final_index": index,
        "actions": rng.integers(0, 4, (steps, count), np.int64),
        "rewards": np.ones((steps, count), np.float32),
        "terminated": ended,
        "truncated": np.zeros_like(ended),
        "first": first,
        "valid": np.ones((steps, count), bool),
        "extras/log_probability": rng.random((steps, count), np.float32),
        "extras/value": rng.random((steps + 1, count), np.float32),
        "extras/final_value": rng.random(count, np.float32),
        "episode": np.ones(count, np.int64),
        **{f"episodes/{name}": np.arange(count).astype(dtype) for name, dtype in EPISODE_COLUMNS.items()},
    }


def specification(size: str) -> Specification:
    """The trajectories that the link admits."""
    return Specification(Trajectory(0, 0, 0, make(size, 1)), STEPS)


def admission(size: str, folder: str, *, exact: bool = True) -> Admission:
    """What the senders of this module agree with."""
    return Admission(RUN, {}, folder, versions(), COMPONENTS, specification(size), exact)


def touch(arrays: Arrays) -> int:
    """Read one byte of each page, so that data which is mapped but not yet there counts as not received."""
    return sum(int(array.reshape(-1).view(np.uint8)[::4096].sum()) for array in arrays.values())


def send_through_link(endpoint: str, size: str) -> None:
    """Speak the sampler's side of the protocol, delivering the same arrays for every grant."""
    arrays = make(size)
    socket = zmq.Context().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)

    def send(type: str, arrays: Arrays | None = None, **fields: Any) -> list[Any]:
        frames = wire.encode(type, arrays, **fields)
        socket.send_multipart([b"", *frames], copy=False)
        return frames

    send(
        "hello",
        protocol=wire.PROTOCOL,
        framework=framework.__version__,
        run=RUN,
        session="sender",
        sampler=SAMPLER,
        incarnation=0,
        process=os.getpid(),
        versions=versions(),
    )
    unacknowledged: dict[tuple[int, int], list[Any]] = {}
    while True:
        _, *received = socket.recv_multipart(copy=False)
        message = wire.decode([frame.buffer for frame in received], limit=2**31)
        if message.type == "welcome":
            send("ready", specification=specification(size).fingerprint, components=COMPONENTS)
        elif message.type == "directive":
            fragment = {name: message[name] for name in ("shard", "number", "version")}
            frames = send("trajectory", arrays, **fragment, timing=[0.0, 0.0, 0.0])
            unacknowledged[message["shard"], message["number"]] = frames
        elif message.type == "acknowledge":
            del unacknowledged[message["shard"], message["number"]]
        elif message.type in ("stop", "reject"):
            return


def send_bare(endpoint: str, size: str, server: str) -> None:
    """Send the same frames as fast as the socket takes them, until killed; to the ``server`` with this public key."""
    arrays = make(size)
    socket = zmq.Context().socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, AHEAD)
    if server:
        use_key(socket, zmq.curve_keypair(), server.encode())
    socket.connect(endpoint)
    packer = msgpack.Packer(autoreset=True)
    described = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    number = 0
    while True:
        socket.send_multipart([packer.pack([number, described]), *arrays.values()], copy=False)
        number += 1


def consume(receive: Any, size: str, seconds: float) -> dict[str, float]:
    """Receive trajectories for so many seconds, after some that do not count.

    Raises `RuntimeError` where one does not hold what was sent.
    """
    arrays = make(size)
    expected, volume = touch(arrays), sum(array.nbytes for array in arrays.values())
    taken, started, counting = 0, time.perf_counter(), False
    while True:
        if touch(receive()) != expected:
            raise RuntimeError("a trajectory arrived with other contents")
        taken += 1
        elapsed = time.perf_counter() - started
        if not counting and elapsed > 0.2 * seconds:
            taken, started, counting = 0, time.perf_counter(), True
        elif counting and elapsed > seconds:
            break
    return {
        "bytes": volume,
        "trajectories_per_second": taken / elapsed,
        "gigabytes_per_second": taken * volume / elapsed / 1e9,
    }


def main() -> None:
    """Send through the link or a bare socket."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("way", choices=("link", "bare"))
    arguments.add_argument("endpoint")
    arguments.add_argument("size", choices=tuple(OBSERVATIONS))
    arguments.add_argument("--server", default="", help="public key of a server with CURVE")
    options = arguments.parse_args()
    if options.way == "link":
        send_through_link(options.endpoint, options.size)
    else:
        send_bare(options.endpoint, options.size, options.server)


if __name__ == "__main__":
    main()

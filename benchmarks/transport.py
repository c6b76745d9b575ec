"""The throughput of the link, beside bare pyzmq and memcpy: ``python benchmarks/transport.py``."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import msgpack
import numpy as np
import zmq

from framework.errors import RunError
from framework.interfaces import SamplerExit
from framework.runtime.data.fingerprint import versions
from framework.runtime.launch.supervisor import Supervisor
from framework.runtime.link.admission import Admission
from framework.runtime.link.leases import Leases
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted
from measure import trajectories
from measure.processes import environment, module
from measure.results import Measurement, interleaved, machine, middle, parser, publish, ratio, table
from measure.trajectories import AHEAD, OBSERVATIONS, Arrays, consume

LINK, BARE, MEMCPY = "link", "bare pyzmq", "memcpy"


class Sender:
    """A `framework.interfaces.Launcher` whose only sampler sends trajectories made beforehand."""

    def __init__(self, size: str):
        self._size = size
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        """Start the sending process."""
        self._process = _start("link", endpoint, self._size)

    def exits(self, timeout: float) -> list[SamplerExit]:
        """No exits; raises `ChildProcessError` where the process has ended before it was told to."""
        with suppress(subprocess.TimeoutExpired):
            raise ChildProcessError(f"the sender has ended with {self._process.wait(timeout)}")
        return []

    def close(self) -> None:
        """End the process."""
        _end(self._process)


def through_link(size: str, seconds: float) -> Measurement:
    """The product's code from encoding to the learner's hands: wire, link, leases, check, and acknowledgement."""
    with tempfile.TemporaryDirectory() as folder:
        admission = Admission(
            run=trajectories.RUN,
            pipeline={},
            directory=folder,
            versions=versions(),
            components=trajectories.COMPONENTS,
            specification=trajectories.specification(size),
        )
        # As in a run with policy_lag 1: two trajectories of each shard on their way, new weights after each round.
        shards = AHEAD // 2
        link = Server(f"ipc://{folder}/link", Leases(shards, 1), admission, kept_versions=1)
        supervisor = Supervisor(Sender(size), 1, trajectories.RUN, link)
        weights = np.zeros(40_000, np.uint8)
        link.publish(0, {"weights": weights})
        taken = itertools.count(1)

        def receive() -> Arrays:
            while True:
                news = link.receive(10.0)
                if news is None:
                    raise RunError("nothing has arrived for 10 s")
                if isinstance(news, Accepted):
                    rounds, rest = divmod(next(taken), shards)
                    if not rest:
                        link.publish(rounds, {"weights": weights})
                        link.release(shards)
                    return news.trajectory.arrays
                if news.name == "sampler_refused":
                    raise RunError(news.fields["reason"])

        try:
            return consume(receive, size, seconds)
        finally:
            supervisor.close()
            link.close()


def bare(size: str, seconds: float) -> Measurement:
    """PUSH to PULL, multipart, zero-copy, over ipc: a header and one frame for each array."""
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.RCVHWM, AHEAD)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(f"ipc://{folder}/bare")

        def receive() -> Arrays:
            header, *frames = (frame.buffer for frame in socket.recv_multipart(copy=False))
            _, described = msgpack.unpackb(header)
            return {
                name: np.frombuffer(frame, dtype).reshape(shape)
                for (name, dtype, shape), frame in zip(described, frames, strict=True)
            }

        with _sending("bare", f"ipc://{folder}/bare", size):
            return consume(receive, size, seconds)


def memcpy(size: str, seconds: float) -> Measurement:
    """Copying the arrays to memory that is there already, in one thread."""
    source = trajectories.make(size)
    target = {name: np.empty_like(array) for name, array in source.items()}

    def receive() -> Arrays:
        for name, array in source.items():
            np.copyto(target[name], array)
        return target

    return consume(receive, size, seconds)


def _measured(take: Callable[[str, float], Measurement], size: str, seconds: float, repeat: int) -> Measurement:
    return take(size, seconds)


def _start(way: str, endpoint: str, size: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(module("trajectories", way, endpoint, size), stdout=subprocess.PIPE, env=environment())


def _end(process: subprocess.Popen[Any] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _sending(way: str, endpoint: str, size: str) -> Iterator[None]:
    process = _start(way, endpoint, size)
    try:
        yield
    finally:
        _end(process)


def main() -> None:
    """Measure both sizes, all ways in turns."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=4.0, help="duration of each measurement (default 4)")
    options = arguments.parse_args()
    before = machine()
    ways: dict[str, Callable[[str, float], Measurement]] = {LINK: through_link, BARE: bare, MEMCPY: memcpy}
    rows = {
        f"{way}, {size}": partial(_measured, take, size, options.seconds)
        for size in OBSERVATIONS
        for way, take in ways.items()
    }
    measurements = interleaved(rows, options.repeats)
    lines = []
    for size in OBSERVATIONS:
        for way in ways:
            row = f"{way}, {size}"
            share = ratio(measurements, row, f"{BARE}, {size}", "gigabytes_per_second")
            rate = middle(measurements, row, "trajectories_per_second")
            speed = middle(measurements, row, "gigabytes_per_second")
            lines.append([row, rate, speed, 1e6 / rate, f"{share:.0%}"])
    publish(
        "transport",
        table(["", "trajectories/s", "GB/s", "us each", f"of {BARE}"], lines)
        + "\n\nMedians; shares are taken repeat by repeat. The consumer reads one byte of each 4 KiB page.",
        output=options.output,
        settings={"seconds": options.seconds, "repeats": options.repeats, "trajectories_ahead": AHEAD},
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()

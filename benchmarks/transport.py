"""The throughput of the link, beside bare pyzmq and memcpy: ``python benchmarks/transport.py``."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq

from framework.errors import RunError
from framework.runtime.launch.starter import SamplerExit
from framework.runtime.launch.supervisor import Supervisor
from framework.runtime.link.address import LOOPBACK
from framework.runtime.link.leases import Leases
from framework.runtime.link.listener import Listener
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted
from measure import trajectories
from measure.processes import environment, module
from measure.results import Measurement, interleaved, machine, middle, parser, publish, ratio, table
from measure.trajectories import AHEAD, Arrays, consume

LINK, BARE, MEMCPY = "link", "bare pyzmq", "memcpy"
NETWORK, BARE_CURVE = "link with CURVE", "bare pyzmq with CURVE"
#: What each way is compared with.
BASES = {LINK: BARE, BARE: BARE, MEMCPY: BARE, NETWORK: BARE_CURVE, BARE_CURVE: BARE_CURVE}
SIZES = ("290 kB", "29 MB")
#: As in a run with policy_lag 1: two trajectories of each shard on their way, new weights after each round.
SHARDS = AHEAD // 2
WEIGHTS = np.zeros(40_000, np.uint8)


class Sender:
    """A `framework.runtime.launch.starter.Starter` whose only sampler sends trajectories made beforehand."""

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
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(_server(size, folder)) as link,
        closing(Supervisor(Sender(size), 1, trajectories.RUN, link)),
    ):
        return consume(_receiving(link), size, seconds)


def through_network(size: str, seconds: float) -> Measurement:
    """The same from a host: over TCP, with keys."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / trajectories.RUN
        directory.mkdir()
        listener = Listener(f"{LOOPBACK}:0", directory, lambda file, endpoint: None)
        with closing(_server(size, folder, listener)) as link:
            command = module("fake_hosts", directory / "join", 1, SHARDS, 0, "--size", size)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment())
            try:
                return consume(_receiving(link), size, seconds)
            finally:
                process.kill()
                process.wait()
                process.stdin.close()  # type: ignore[union-attr]


def _server(size: str, folder: str, listener: Listener | None = None) -> Server:
    admission = trajectories.admission(size, folder)
    leases = Leases(SHARDS, 1, expected=SHARDS if listener else 1)
    link = Server(f"ipc://{folder}/link", leases, admission, kept_versions=1, listener=listener)
    link.publish(0, {"weights": WEIGHTS})
    return link


def _receiving(link: Server) -> Callable[[], Arrays]:
    taken = itertools.count(1)

    def receive() -> Arrays:
        while True:
            news = link.receive(10.0)
            if news is None:
                raise RunError("nothing has arrived for 10 s")
            if isinstance(news, Accepted):
                rounds, rest = divmod(next(taken), SHARDS)
                if not rest:
                    link.publish(rounds, {"weights": WEIGHTS})
                    link.release(SHARDS)
                return news.trajectory.arrays
            if news.name in ("sampler_refused", "host_refused"):
                raise RunError(news.fields["reason"])

    return receive


def bare(size: str, seconds: float) -> Measurement:
    """PUSH to PULL, multipart, zero-copy, over ipc: a header and one frame for each array."""
    with tempfile.TemporaryDirectory() as folder:
        return _bare(f"ipc://{folder}/bare", "", size, seconds)


def bare_curve(size: str, seconds: float) -> Measurement:
    """The same over TCP with CURVE."""
    return _bare(f"tcp://{LOOPBACK}:*", "curve", size, seconds)


def _bare(address: str, security: str, size: str, seconds: float) -> Measurement:
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.RCVHWM, AHEAD)
        socket.setsockopt(zmq.LINGER, 0)
        server = b""
        if security:
            server, secret = zmq.curve_keypair()
            socket.curve_server, socket.curve_secretkey = True, secret
        socket.bind(address)

        def receive() -> Arrays:
            header, *frames = (frame.buffer for frame in socket.recv_multipart(copy=False))
            _, described = msgpack.unpackb(header)
            return {
                name: np.frombuffer(frame, dtype).reshape(shape)
                for (name, dtype, shape), frame in zip(described, frames, strict=True)
            }

        with _sending("bare", socket.getsockopt_string(zmq.LAST_ENDPOINT), size, server.decode()):
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


def _start(way: str, endpoint: str, size: str, server: str = "") -> subprocess.Popen[bytes]:
    command = module("trajectories", way, endpoint, size, *(["--server", server] if server else []))
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())


def _end(process: subprocess.Popen[Any] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _sending(way: str, endpoint: str, size: str, server: str) -> Iterator[None]:
    process = _start(way, endpoint, size, server)
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
    ways: dict[str, Callable[[str, float], Measurement]] = {
        LINK: through_link,
        BARE: bare,
        MEMCPY: memcpy,
        NETWORK: through_network,
        BARE_CURVE: bare_curve,
    }
    rows = {
        f"{way}, {size}": partial(_measured, take, size, options.seconds)
        for size in SIZES
        for way, take in ways.items()
    }
    measurements = interleaved(rows, options.repeats)
    lines = []
    for size in SIZES:
        for way in ways:
            row = f"{way}, {size}"
            share = ratio(measurements, row, f"{BASES[way]}, {size}", "gigabytes_per_second")
            rate = middle(measurements, row, "trajectories_per_second")
            speed = middle(measurements, row, "gigabytes_per_second")
            lines.append([row, rate, speed, 1e6 / rate, f"{share:.0%}"])
    publish(
        "transport",
        table(["", "trajectories/s", "GB/s", "us each", "of bare"], lines)
        + "\n\nMedians; shares of bare pyzmq, with CURVE where the row "
        "has it, are taken repeat by repeat. The consumer reads one byte of each 4 KiB page.",
        output=options.output,
        settings={"seconds": options.seconds, "repeats": options.repeats, "trajectories_ahead": AHEAD},
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()

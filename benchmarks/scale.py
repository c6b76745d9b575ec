"""How many samplers a learner serves, beside what it could at best: ``python benchmarks/scale.py``.

At best X = min(N r, mu, BW / bytes): N samplers of r trajectories a second each, what the learner's end of the link can
take (measured with a single host whose samplers need no time), and what bare pyzmq carries with CURVE.
"""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from framework.runtime.link.leases import Leases
from framework.runtime.link.listener import Listener
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted
from measure import trajectories
from measure.processes import environment, module
from measure.results import Measurement, interleaved, machine, middle, parser, publish, table

SIZE = "30 kB"
#: Hosts and samplers of each; the last are over a thousand.
FLEETS = ((1, 1), (1, 4), (1, 16), (4, 16), (16, 16), (64, 16))
#: Trajectories a second of one sampler.
RATE = 20.0
WEIGHTS = 7_000_000


#: What fake hosts print.
Lines = queue.SimpleQueue[dict[str, Any]]


@contextmanager
def served(hosts: int, samplers: int, rate: float, weights: int = 40_000) -> Iterator[tuple[Server, Lines]]:
    """A learner's end of the link, and the lines that its fake hosts print."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / trajectories.RUN
        directory.mkdir()
        admission = trajectories.admission(SIZE, folder, exact=False)
        count = hosts * samplers
        leases = Leases(count, None, credit=2 * count, expected=count)
        listener = Listener("127.0.0.1:0", directory, lambda file, endpoint: None)
        server = Server(f"ipc://{folder}/link", leases, admission, 16, listener=listener)
        server.publish(0, {"weights": np.zeros(weights, np.uint8)})
        process = subprocess.Popen(
            module("fake_hosts", directory / "join", hosts, samplers, rate, "--size", SIZE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        lines: Lines = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            yield server, lines
        finally:
            process.stdin.close()
            process.wait(30)
            reader.join()
            process.stdout.close()
            server.close()


def _read(output: Any, lines: Lines) -> None:
    for line in output:
        lines.put(json.loads(line))


class Consumer:
    """A learner that learns nothing: it takes trajectories, and publishes a version after so many of them."""

    def __init__(self, server: Server, lines: Lines, shards: int):
        self._server, self._lines, self._round = server, lines, max(shards, 64)
        self._version = 0
        self.taken = 0

    def take(self, timeout: float) -> None:
        """Take the next trajectory, if one comes in time."""
        if isinstance(self._server.receive(timeout), Accepted):
            self._server.release(1)
            self.taken += 1
            if self.taken % self._round == 0:
                self.publish(40_000)

    def publish(self, size: int) -> int:
        """Publish a version with so many bytes of weights; returns its number."""
        self._version += 1
        self._server.publish(self._version, {"weights": np.zeros(size, np.uint8)})
        return self._version

    def rate(self, seconds: float) -> float:
        """Trajectories a second, in so many seconds."""
        before, started = self.taken, time.perf_counter()
        while time.perf_counter() - started < seconds:
            self.take(0.1)
        return (self.taken - before) / (time.perf_counter() - started)

    def said(self, **what: Any) -> float:
        """The time of day at which hosts have said this. Raises `RuntimeError` where they do not."""
        deadline = time.perf_counter() + 30
        while time.perf_counter() < deadline:
            while not self._lines.empty():
                line = self._lines.get()
                if what.items() <= line.items():
                    return float(line["at"])
            self.take(0.001)
        raise RuntimeError(f"the fake hosts have not said {what}")


def rate_of(hosts: int, samplers: int, rate: float, seconds: float, repeat: int) -> Measurement:
    """Joining and serving a fleet."""
    with served(hosts, samplers, rate) as (server, lines):
        consumer = Consumer(server, lines, hosts * samplers)
        begun = consumer.said(what="starting")
        joined = consumer.said(what="joined") - begun
        consumer.rate(1.0)
        return {"samplers": hosts * samplers, "joined": joined, "rate": consumer.rate(seconds)}


def news_of(hosts: int, samplers: int, repeat: int) -> Measurement:
    """Seconds from publishing a version of 7 MB until every host has it; samplers collect meanwhile."""
    with served(hosts, samplers, RATE, WEIGHTS) as (server, lines):
        consumer = Consumer(server, lines, 10**9)
        consumer.said(what="joined")
        taken = []
        for _ in range(5):
            consumer.rate(1.0)
            published = time.time()
            version = consumer.publish(WEIGHTS)
            told = [consumer.said(what="weights", version=version) for _ in range(hosts)]
            taken.append(max(told) - published)
        return {"samplers": hosts * samplers, "seconds": median(taken), "worst": max(taken)}


def main() -> None:
    """Measure fleets of all sizes in turns."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=4.0, help="duration of each measurement (default 4)")
    options = arguments.parse_args()
    before = machine()
    rows = {
        f"{hosts} x {samplers}": partial(rate_of, hosts, samplers, RATE, options.seconds) for hosts, samplers in FLEETS
    }
    rows |= {"mu": partial(rate_of, 1, 16, 0.0, options.seconds), "7 MB": partial(news_of, 8, 32)}
    measurements = interleaved(rows, options.repeats)
    mu = middle(measurements, "mu", "rate")
    lines: list[list[float | str | None]] = []
    for hosts, samplers in FLEETS:
        row, count = f"{hosts} x {samplers}", hosts * samplers
        best, rate = min(count * RATE, mu), middle(measurements, row, "rate")
        lines.append([row, count, middle(measurements, row, "joined"), best, rate, f"{rate / best:.0%}"])
    spread = middle(measurements, "7 MB", "seconds")
    publish(
        "scale",
        table(["hosts x samplers", "samplers", "joined after s", "X, at best", "trajectories/s", "of X"], lines)
        + f"\n\nmu is {mu:,.0f} trajectories/s of {SIZE}. A version of 7 MB is with 8 hosts of 32 samplers each "
        f"{spread:.2f} s after it was published. Medians. Hosts and learner share the machine's cores.",
        output=options.output,
        settings={"seconds": options.seconds, "repeats": options.repeats, "rate": RATE, "size": SIZE},
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()

"""Hosts that join and leave for ten minutes, and what the learner holds meanwhile: ``python benchmarks/churn.py``."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

from faults import machines
from measure.fleet import Fleet, run_alone, write_pipeline
from measure.network import Network
from measure.proxied import Proxied
from measure.results import Measurement, machine, parser, publish, table

HOSTS = tuple(f"host-{number}" for number in range(1, 9))
#: Seconds between two events.
PAUSE = 5.0
#: So that about as many updates are done in a second, on two cores that also start all these hosts.
STEP_SECONDS, UPDATES = 0.004, 1.4


def churn(network: Network | Proxied, folder: Path, updates: int) -> Measurement:
    """Every five seconds a host joins, from one to eight, or leaves, back to one; of those some are killed."""
    with Fleet(network, folder, write_pipeline(folder, updates), step_seconds=STEP_SECONDS) as fleet:
        hosts, started, dice = [fleet.host(HOSTS[0])], 1, random.Random(0)
        samples: list[tuple[float, int]] = []
        growing = True
        while fleet.updates < updates:
            if growing:
                hosts.append(fleet.host(HOSTS[started % len(HOSTS)]))
                started += 1
            else:
                hosts.pop(dice.randrange(len(hosts))).send(dice.choice((signal.SIGTERM, signal.SIGKILL)))
            growing = len(hosts) == 1 or (growing and len(hosts) < len(HOSTS))
            try:
                samples.append((fleet.learner.main.memory_info().rss / 2**20, fleet.learner.main.num_fds()))
            except psutil.Error:  # it has just ended
                break
            time.sleep(PAUSE)
        third = max(1, len(samples) // 3)
        early, late = samples[third // 2 : third] or samples[:1], samples[-third:]
        return {
            "hosts_started": started,
            "joined": len(fleet.events("host_joined")),
            "megabytes": [median(size for size, _ in part) for part in (early, late)],
            "descriptors": [median(count for _, count in part) for part in (early, late)],
            "outcome": fleet.end(),
        }


def measure(seconds: float) -> Measurement:
    """Churn for about so long; whether the run came to what it does undisturbed is ``equal``."""
    updates = int(seconds * UPDATES)
    with tempfile.TemporaryDirectory(prefix="churn-") as folder, machines(*HOSTS) as network:
        started = time.monotonic()
        measurement = churn(network, Path(folder) / "churn", updates)
        measurement["seconds"] = time.monotonic() - started
        expected = run_alone(Path(folder) / "alone", updates)
    return measurement | {"equal": measurement.pop("outcome") == expected, "updates": updates}


def main() -> None:
    """Measure once."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=600.0, help="about how long (default 600)")
    options = arguments.parse_args()
    before = machine()
    result = measure(options.seconds)
    megabytes, descriptors = result["megabytes"], result["descriptors"]
    header = ["hosts joined", "seconds", "updates", "bit-equal", "MB early", "MB late", "descriptors early", "late"]
    equal = "yes" if result["equal"] else "no"
    line = [result["joined"], result["seconds"], result["updates"], equal, *megabytes, *descriptors]
    publish(
        "churn",
        table(["", *header], [["joining and leaving", *line]]),
        output=options.output,
        settings={"seconds": options.seconds, "hosts": len(HOSTS), "pause": PAUSE, "step_seconds": STEP_SECONDS},
        measurements=[{"row": "joining and leaving", "repeat": 0, **result}],
        machine=before,
    )


if __name__ == "__main__":
    main()

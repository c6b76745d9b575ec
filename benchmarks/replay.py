"""The speed of prioritized replay, beside cpprb and Tianshou: ``python benchmarks/replay.py --peer-python PATH``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from measure.processes import module, run
from measure.results import Measurement, interleaved, machine, middle, parser, publish, ratio, table

OURS, PEERS = "framework", ("tianshou", "cpprb")


def _measured(command: list[str]) -> Callable[[int], Measurement]:
    return lambda repeat: run(command)


def _installed(python: str, name: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def main() -> None:
    """Measure all buffers in turns, each in a process of its own."""
    arguments = parser(__doc__)
    arguments.add_argument("--capacity", type=int, default=1_000_000, help="capacity in steps (default 1,000,000)")
    arguments.add_argument("--batch", type=int, default=256, help="batch size of a sample (default 256)")
    arguments.add_argument("--seconds", type=float, default=4.0, help="duration of each measurement (default 4)")
    arguments.add_argument("--peer-python", metavar="PATH", help="Python of an environment with tianshou and cpprb")
    options = arguments.parse_args()
    before = machine()
    sizes = [str(options.capacity), str(options.batch), str(options.seconds)]
    rows = {OURS: _measured(module("replay", *sizes))}
    if options.peer_python:
        installed = [name for name in PEERS if _installed(options.peer_python, name)]
        rows |= {name: _measured([options.peer_python, "-m", "peers.replay", name, *sizes]) for name in installed}
    measurements = interleaved(rows, options.repeats)
    lines: list[list[float | str | None]] = []
    for row in rows:
        share = ratio(measurements, OURS, row, "samples_per_second")
        fields = ("samples_per_second", "fastest_us", "adds_per_second")
        lines.append([row, *(middle(measurements, row, field) for field in fields), f"{share:.2f}"])
    missing = [name for name in PEERS if name not in rows]
    publish(
        "replay",
        table(["", "sample + update /s", "fastest us", "adds/s", f"{OURS} is faster by"], lines)
        + "\n\nMedians; factors are taken repeat by repeat. Adds are in blocks where the buffer takes"
        + " them (tianshou does not)."
        + (f"\nWithout {' and '.join(missing)}: name an interpreter with --peer-python." if missing else ""),
        output=options.output,
        settings={
            "capacity": options.capacity,
            "batch": options.batch,
            "seconds": options.seconds,
            "repeats": options.repeats,
            "python": sys.version.split()[0],
        },
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()

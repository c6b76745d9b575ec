"""The cost of sampling in other processes, per trajectory: ``python benchmarks/overhead.py``.

The same pipeline, two shards at lag 1, is run in one process and with two samplers: the same work, bit for bit.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from measure.processes import module, run
from measure.results import BENCHMARKS, Measurement, interleaved, machine, middle, parser, publish, table, values
from measure.sides import STEPS, add_run_options, ours, run_settings

IN_PROCESS, SAMPLERS, PIECES = "in-process", "2 samplers", "pieces"
_SHARDS = 2
_LINES = {
    "wall": "wall time",
    "processor": "processor time, all processes",
    "total": "collecting, as the sampler sees it",
    "updating": "updating, as the learner sees it",
    "waiting": "learner waiting (in-process: collecting)",
}


def main() -> None:
    """Print and write two tables: whole runs, and the runtime's pieces alone."""
    arguments = parser(__doc__)
    add_run_options(arguments)
    options = arguments.parse_args()
    before = machine()
    shards = f"sampling.shard={8 // _SHARDS}"
    pipeline = BENCHMARKS / "pipelines" / f"{options.env}.toml"
    rows = {
        IN_PROCESS: ours(options.env, options, shards, "runtime.samplers=0"),
        SAMPLERS: ours(options.env, options, shards, "runtime.samplers=2"),
        PIECES: lambda repeat: run(module("pieces", pipeline, shards, *options.overrides)),
    }
    measurements = interleaved(rows, options.repeats)
    if values(measurements, IN_PROCESS, "curve") != values(measurements, SAMPLERS, "curve"):
        raise SystemExit("the runs differ: this is not the same work")
    publish(
        f"overhead-{options.env}",
        _text(measurements),
        output=options.output,
        settings={"environment": options.env, "shards": _SHARDS, **run_settings(options, STEPS[options.env])},
        measurements=measurements,
        machine=before,
    )


def _text(measurements: list[Measurement]) -> str:
    in_process, samplers = _microseconds(measurements, IN_PROCESS), _microseconds(measurements, SAMPLERS)
    runs = [
        [name, median(in_process[field]), median(samplers[field]), _difference(in_process[field], samplers[field])]
        for field, name in _LINES.items()
    ]
    cost = _difference(in_process["processor"], samplers["processor"])
    share = cost / median(in_process["processor"])
    measured = next(measurement for measurement in measurements if measurement["row"] == PIECES)
    skipped = {"row", "repeat", "process_seconds", "launched"}
    pieces = [[name, middle(measurements, PIECES, name)] for name in measured if name not in skipped]
    return "\n".join(
        [
            table(["us per trajectory", IN_PROCESS, SAMPLERS, "difference"], runs),
            "",
            f"Sampling in other processes costs {cost:,.0f} us of processor time more per trajectory,",
            f"{share:.0%} of the work itself. Differences are medians over the repeats.",
            "",
            table(["the runtime's pieces alone", "us"], pieces),
            "",
            "Per trajectory; packing is once for an update, unpacking once for an update and sampler.",
        ]
    )


def _microseconds(measurements: list[Measurement], row: str) -> dict[str, list[float]]:
    """Microseconds per trajectory, repeat by repeat."""
    windows: list[dict[str, Any]] = [measurement["window"] for measurement in measurements if measurement["row"] == row]
    if None in windows:
        raise SystemExit("too few updates to measure: raise --steps")
    return {field: [window[field] / (window["updates"] * _SHARDS) * 1e6 for window in windows] for field in _LINES}


def _difference(in_process: list[float], samplers: list[float]) -> float:
    return median([more - less for less, more in zip(in_process, samplers, strict=True)])


if __name__ == "__main__":
    main()

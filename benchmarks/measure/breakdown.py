"""Where the time of a run goes in its one sampler and its learner, and what each part costs alone."""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from measure.processes import module, run
from measure.results import BENCHMARKS, Measurement, interleaved, machine, middle, publish, show, table
from measure.sides import STEPS, ours, run_settings

_RUN, _ALONE = "run", "alone"


def measure(options: argparse.Namespace) -> None:
    """Print and write the table."""
    before = machine()
    rows = {_RUN: ours(options.env, options), _ALONE: lambda repeat: _alone(options)}
    measurements = interleaved(rows, options.repeats)
    for measurement in measurements:
        if measurement["row"] == _RUN:
            measurement["parts"] = _parts(measurement["window"])
    publish(
        f"breakdown-{options.env}",
        _text(measurements, before["usable_cores"]),
        output=options.output,
        settings={"environment": options.env, "samplers": 1, **run_settings(options, STEPS[options.env])},
        measurements=measurements,
        machine=before,
    )


def _alone(options: argparse.Namespace) -> Measurement:
    return run(module("limits", BENCHMARKS / "pipelines" / f"{options.env}.toml", *options.overrides))


def _parts(window: dict[str, Any] | None) -> dict[str, float]:
    """Microseconds per environment step, of wall time unless stated otherwise."""
    if window is None:
        raise SystemExit("too few updates for a breakdown: raise --steps")
    names = ("acting", "stepping", "total", "waiting", "updating", "wall", "processor")
    costs = {name: window[name] / window["steps"] * 1e6 for name in names}
    return costs | {
        "collecting, other": costs["total"] - costs["acting"] - costs["stepping"],
        "sampler idle": costs["wall"] - costs["total"],
        "learner, other": costs["wall"] - costs["waiting"] - costs["updating"],
    }


def _text(measurements: list[Measurement], cores: int) -> str:
    runs = [measurement["parts"] for measurement in measurements if measurement["row"] == _RUN]
    part = {name: median([run[name] for run in runs]) for name in runs[0]}
    alone = {
        name: middle(measurements, _ALONE, name) for name in ("environment", "policy", "update", "update_processor")
    }
    wall = part["wall"]

    def line(name: str, value: float, limit: float | None = None) -> list[float | str | None]:
        return [
            name,
            value,
            f"{value / wall:.0%}",
            limit,
            None if limit is None else f"{limit / value:.0%}",
        ]

    lines = [
        line("sampler: acting", part["acting"], alone["policy"]),
        line("sampler: stepping", part["stepping"], alone["environment"]),
        line("sampler: other collecting", part["collecting, other"]),
        line("sampler: sending and idle", part["sampler idle"]),
        line("learner: updating", part["updating"], alone["update"]),
        line("learner: waiting", part["waiting"]),
        line("learner: recording and other", part["learner, other"]),
    ]
    sampler, learner = alone["policy"] + alone["environment"], alone["update"]
    busy = (sampler + alone["update_processor"]) / cores
    reset = show(middle(measurements, _ALONE, "reset"))

    def rate(microseconds: float) -> str:
        return f"{show(1e6 / microseconds)} steps/s"

    return "\n".join(
        [
            table(["us per environment step", "in the run", "of the wall", "alone", "alone / in the run"], lines),
            "",
            f"A step takes {show(wall)} us of wall time ({rate(wall)}), and {show(part['processor'])} us of processor",
            "time over all processes. Limits, from what the parts take alone:",
            f"{rate(sampler)} for one sampler, {rate(learner)} for the learner,",
            f"{rate(busy)} for {cores} cores that are never idle.",
            f"The run reaches {max(sampler, learner, busy) / wall:.0%} of the lowest. A reset alone takes {reset} us.",
        ]
    )

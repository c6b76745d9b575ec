"""Peak memory of the whole process tree while training: PSS, where shared pages are counted once."""

from __future__ import annotations

import argparse

from measure.results import interleaved, machine, middle, publish, ratio, show, table
from measure.sides import SB3, STEPS, missing_peer, ours, run_settings, sb3


def measure(options: argparse.Namespace) -> None:
    """Print and write the table."""
    before = machine()
    task, two_samplers = options.env, ("runtime.samplers=2", "sampling.shard=4")
    rows = {
        "2 samplers": ours(task, options, *two_samplers, memory=True),
        "1 sampler": ours(task, options, memory=True),
        "in-process": ours(task, options, "runtime.samplers=0", memory=True),
        **sb3(task, options, STEPS[task], memory=True),
    }
    measurements = interleaved(rows, options.repeats)
    for measurement in measurements:
        measurement["peak_sum"] = sum(measurement["peak"])
    lines = []
    for row in rows:
        first = next(measurement for measurement in measurements if measurement["row"] == row)
        lines.append(
            [
                row,
                middle(measurements, row, "peak_sum"),
                ratio(measurements, row, SB3, "peak_sum"),
                " + ".join(show(round(size)) for size in first["peak"]),
            ]
        )
    note = (
        "\n\nPSS in MB, sampled every 0.1 s. The processes: the learner, the helper that samplers are forked from, and"
        "\nthe samplers; their figures are those of the first repeat."
    )
    publish(
        f"memory-{task}",
        table(["", "peak MB", f"x {SB3}", "by process"], lines) + note + missing_peer(options),
        output=options.output,
        settings={
            "environment": task,
            **run_settings(options, STEPS[task]),
        },
        measurements=measurements,
        machine=before,
    )

"""Wall time of a whole process until CartPole-v1 is solved: a greedy evaluation of 475 over 20 episodes."""

from __future__ import annotations

import argparse

from measure.results import interleaved, machine, middle, publish, ratio, table, values
from measure.sides import SB3, missing_peer, ours, run_settings, sb3

SCORE = 475.0
STEPS = 100_000


def measure(options: argparse.Namespace) -> None:
    """Print and write the table. A run that does not solve the task counts with the time of all its steps."""
    before = machine()
    rows = {
        "1 sampler": ours("solve", options, until=SCORE),
        "2 samplers": ours("solve", options, "runtime.samplers=2", "sampling.shard=4", until=SCORE),
        "in-process": ours("solve", options, "runtime.samplers=0", until=SCORE),
        **sb3("solve", options, STEPS, until=SCORE),
    }
    measurements = interleaved(rows, options.repeats)
    lines = []
    for row in rows:
        seconds = values(measurements, row, "process_seconds")
        lines.append(
            [
                row,
                f"{sum(values(measurements, row, 'solved'))} of {options.repeats}",
                middle(measurements, row, "process_seconds"),
                min(seconds),
                max(seconds),
                middle(measurements, row, "start_seconds"),
                middle(measurements, row, "steps"),
                ratio(measurements, row, SB3, "process_seconds"),
            ]
        )
    header = ["", "solved", "process s", "lowest", "highest", "of it start s", "steps", f"time / {SB3}"]
    note = "\n\nMedians over seeds; the time is that of the whole process, start-up and end included."
    publish(
        "solve-cartpole",
        table(header, lines) + note + missing_peer(options),
        output=options.output,
        settings={
            "score": SCORE,
            **run_settings(options, STEPS),
        },
        measurements=measurements,
        machine=before,
    )

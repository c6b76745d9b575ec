"""Speed or difficulty of the research environment: ``python benchmarks/research_env.py --speed|--calibration``."""

from __future__ import annotations

import argparse
from functools import partial

from measure.calibration import LEVELS, POLICIES, calibrate, calibration_table
from measure.pages import fill
from measure.results import interleaved, machine, middle, parser, publish, table, values
from measure.steps import single, vector

CORPORA = ["synthetic", "factbook"]


def main() -> None:
    """Measure speed, or calibrate."""
    arguments = parser(__doc__)
    mode = arguments.add_mutually_exclusive_group(required=True)
    mode.add_argument("--speed", action="store_true", help="steps per second of random legal actions, with resets")
    mode.add_argument("--calibration", action="store_true", help="success and steps of scripted policies")
    arguments.add_argument("--level", type=float, default=0.5, help="level of --speed (default 0.5)")
    arguments.add_argument("--steps", type=int, default=100_000, help="steps of each measurement of --speed (100,000)")
    arguments.add_argument("--environments", type=int, default=64, help="environments of a vector (default 64)")
    arguments.add_argument("--episodes", type=int, default=500, help="episodes of each cell of --calibration (500)")
    arguments.add_argument("--seed", type=int, default=0, help="seed of the first episode of each cell (default 0)")
    options = arguments.parse_args()
    measure_speed(options) if options.speed else measure_calibration(options)
    if options.output is None:
        fill()


def measure_speed(options: argparse.Namespace) -> None:
    """One environment and a vector of them, in turns; all in this process and on one thread."""
    before = machine()
    vector_row = f"{options.environments} as one"
    rows = {
        "one": partial(single, options.level, options.steps),
        vector_row: partial(vector, options.level, options.steps, options.environments),
    }
    measurements = interleaved(rows, options.repeats)
    lines = [
        [row, max(values(measurements, row, "steps_per_second")), middle(measurements, row, "steps_per_second")]
        for row in rows
    ]
    publish(
        "research-speed",
        table(["environments", "fastest steps/s", "median steps/s"], lines),
        output=options.output,
        settings={name: getattr(options, name) for name in ("level", "steps", "environments", "repeats")},
        measurements=measurements,
        machine=before,
    )


def measure_calibration(options: argparse.Namespace) -> None:
    """Every policy at every level of each corpus (extra factbook), on the same worlds of the test split."""
    before = machine()
    measurements = [
        calibrate(corpus, policy, level, options.episodes, options.seed, options.environments)
        for level in LEVELS
        for corpus in CORPORA
        for policy in POLICIES
    ]
    publish(
        "research-calibration",
        {corpus: calibration_table(measurements, corpus) for corpus in CORPORA},
        output=options.output,
        settings={"episodes": options.episodes, "seed": options.seed, "split": "test"},
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()

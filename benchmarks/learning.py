"""Trains an example on some seeds and says whether it reaches its aim: ``python benchmarks/learning.py cartpole``.

With ``--against`` it is also trained with other overrides, one at a time. ``--report`` trains nothing: it writes
``docs/reference/results.md`` and its picture from the result files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from framework.studies.jobs import Job, Jobs
from measure.aims import EXAMPLES, Aim, aims
from measure.kept_runs import curve, job, tell
from measure.plot import draw_curves, draw_panels
from measure.report import PAGE, PICTURE, page, results
from measure.research_rows import Row
from measure.results import Measurement, machine, publish, table

#: About how many points a curve is thinned to.
POINTS = 200


def main() -> None:
    """Train an example, or write the page of results."""
    example_aims = aims()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("example", nargs="?", choices=example_aims, help=f"one of {', '.join(example_aims)}")
    arguments.add_argument("overrides", nargs="*", help="overrides of the pipeline, as for framework run")
    arguments.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default 1 2 3")
    arguments.add_argument("--against", nargs="+", default=[], metavar="OVERRIDE", help="also train with each of these")
    arguments.add_argument("--plot", type=Path, metavar="FILE", help="draw the learning curves; needs matplotlib")
    arguments.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/learning-NAME.json)")
    arguments.add_argument("--report", action="store_true", help="write the page of results instead; needs matplotlib")
    options = arguments.parse_args()
    if options.report:
        by_example = results()
        draw_panels(PICTURE, {name: result["measurements"] for name, result in by_example.items()})
        PAGE.write_text(page(by_example), encoding="utf-8")
    elif options.example:
        measure(options, example_aims[options.example])
    else:
        arguments.error("name an example, or --report")


def measure(options: argparse.Namespace, aim: Aim) -> None:
    """Train, print the table, write all results, and draw the curves."""
    before = machine()
    example = EXAMPLES / f"{options.example}.toml"
    rows = [Row(options.example, example), *(Row(override, example, (override,)) for override in options.against)]
    with tempfile.TemporaryDirectory() as folder, Jobs(1, tell) as jobs:
        measurements = [
            {"row": row.name, "seed": seed, **train(jobs, job(Path(folder), row, seed, options.overrides))}
            for seed in options.seeds
            for row in rows
        ]
    lines = [[row.name, *aim.verdict(measurements, row.name)] for row in rows]
    publish(
        f"learning-{options.example}",
        table(["", "seeds", "steps", "seconds each", "returns", "aim", "reached"], lines),
        output=options.output,
        settings={
            "example": options.example,
            "seeds": options.seeds,
            "overrides": options.overrides,
            "rows": {row.name: row.overrides for row in rows},
        },
        measurements=measurements,
        machine=before,
    )
    if options.plot:
        seeds = f"{len(options.seeds)} seeds" if len(options.seeds) > 1 else "one seed"
        draw_curves(options.plot, measurements, f"{aim.environment}: median and range of {seeds}")


def train(jobs: Jobs, training: Job) -> Measurement:
    """One run in a process of its own: the return of its last evaluation, and its curve."""
    started = time.perf_counter()
    run = jobs.run(training)
    seconds = time.perf_counter() - started
    points = curve(run, "return")
    return {
        "steps": run.steps,
        "seconds": seconds,
        "return": run.evaluations[-1]["evaluation/return"],
        "curve": [*points[:: max(1, len(points) // POINTS)], points[-1]],
    }


if __name__ == "__main__":
    main()

"""Trains an example on some seeds and says whether it reaches its aim: ``python benchmarks/learning.py cartpole``.

With ``--against`` it is also trained with other overrides, one at a time. ``--report`` trains nothing: it writes
``docs/reference/results.md`` and its picture from the result files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from measure.aims import EXAMPLES, Aim, aims
from measure.plot import draw_curves, draw_panels
from measure.processes import module, run
from measure.report import PAGE, PICTURE, page, results
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
    rows = {options.example: [], **{override: [override] for override in options.against}}
    measurements = [
        {"row": row, "seed": seed, **train(options.example, [*overrides, *options.overrides, f"run.seed={seed}"])}
        for seed in options.seeds
        for row, overrides in rows.items()
    ]
    lines = [[row, *aim.verdict(measurements, row)] for row in rows]
    publish(
        f"learning-{options.example}",
        table(["", "seeds", "steps", "seconds each", "returns", "aim", "reached"], lines),
        output=options.output,
        settings={"example": options.example, "seeds": options.seeds, "overrides": options.overrides, "rows": rows},
        measurements=measurements,
        machine=before,
    )
    if options.plot:
        seeds = f"{len(options.seeds)} seeds" if len(options.seeds) > 1 else "one seed"
        draw_curves(options.plot, measurements, f"{aim.environment}: median and range of {seeds}")


def train(example: str, overrides: list[str]) -> Measurement:
    """One run in a process of its own: the return of its last evaluation, and its curve."""
    print(f"{example} {' '.join(overrides)}", file=sys.stderr, flush=True)
    result = run(module("train", EXAMPLES / f"{example}.toml", *overrides), limit=7200.0)
    curve = [[steps, round(value, 3)] for steps, value in result["curve"]]
    return {
        "steps": result["steps"],
        "seconds": result["process_seconds"],
        "return": result["evaluations"][-1][1],
        "curve": [*curve[:: max(1, len(curve) // POINTS)], curve[-1]],
    }


if __name__ == "__main__":
    main()

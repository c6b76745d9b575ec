"""Whether what was learned at low levels helps elsewhere: ``python benchmarks/research_transfer.py --runs FOLDER``.

Trains the full pipeline up to a low level. Then anew, up to higher levels and on real facts (extra factbook): from
scratch, from the trained encoder, and with that encoder frozen; at two learning rates. The measure is the number of
steps until the success rate at the higher level is one half.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from framework.runtime.disk.checkpoint import resolve_checkpoint
from framework.studies.jobs import Jobs
from framework.studies.learning_curve import first_reached
from framework.studies.recorded_run import RecordedRun
from framework.toolkit.transfer import read_tensors
from measure.kept_runs import add_training_arguments, curve, job, tell
from measure.pages import fill
from measure.research_rows import Row
from measure.results import BENCHMARKS, Measurement, machine, publish, table

EXAMPLES = BENCHMARKS.parent / "examples"
LOW, HIGH, ENOUGH = 0.2, 0.4, 0.5
FIRST = Row(
    "low levels",
    EXAMPLES / "research.toml",
    (f"curriculum.maximum={LOW}", f"evaluation.tasks=[{LOW}]", "run.total_steps=200_000"),
)
SCRATCH, LOADED, FROZEN = "from scratch", "encoder loaded", "encoder loaded and frozen"
#: Learning rates: that of the examples, and a smaller one.
USUAL, SMALL = 1e-3, 3e-4
#: Target -> its pipeline.
TARGETS = {f"level {HIGH}": EXAMPLES / "research.toml", "factbook": EXAMPLES / "research-factbook.toml"}
#: Target -> initializations and learning rates. On real facts, those that did best at the higher level.
VARIANTS = {
    f"level {HIGH}": [(start, rate) for start in (SCRATCH, LOADED, FROZEN) for rate in (USUAL, SMALL)],
    "factbook": [(SCRATCH, USUAL), (LOADED, SMALL)],
}
#: Of every variant, since the learning rate falls to 0 with the last step.
STEPS = 250_000
#: Where the curves show which variant starts better.
EARLY = 100_000


def main() -> None:
    """Train, and publish the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_training_arguments(parser)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), help="default: all")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-transfer.json)")
    options = parser.parse_args()
    before = machine()
    variants = [(target, variant) for target in options.targets for variant in VARIANTS[target]]
    folder = options.runs.resolve()
    with Jobs(options.jobs, tell) as jobs:
        trained = jobs.train([job(folder, FIRST, seed, options.set) for seed in options.seeds])
        firsts = {seed: run.directory for seed, run in zip(options.seeds, trained, strict=True)}
        rows = [(row(target, *variant, firsts[seed]), seed) for target, variant in variants for seed in options.seeds]
        runs = jobs.train([job(folder, variant, seed, options.set) for variant, seed in rows])
    measurements = [measure(variant, seed, run, firsts[seed]) for (variant, seed), run in zip(rows, runs, strict=True)]
    publish(
        "research-transfer",
        table(
            ["to", "", "learning rate", f"steps to {ENOUGH:.0%}", f"after {EARLY:,}", f"after {STEPS:,}", "as loaded"],
            [
                [target, start, f"{rate:g}", *_columns(measurements, row(target, start, rate).name)]
                for target, (start, rate) in variants
            ],
        ),
        output=options.output,
        settings={"low": LOW, "high": HIGH, "steps": STEPS, "seeds": options.seeds, "set": options.set},
        measurements=measurements,
        machine=before,
    )
    if options.output is None:
        fill()


def row(target: str, start: str, rate: float, first: Path | None = None) -> Row:
    """What is trained on one of the `TARGETS`, with the encoder of the run ``first`` unless from scratch."""
    loaded = () if start == SCRATCH else (f'encoder.init_from="{first}"',)
    frozen = ("encoder.freeze=true",) if start == FROZEN else ()
    settings = (f"evaluation.tasks=[{HIGH}]", "evaluation.every_steps=20_000", f"run.total_steps={STEPS}")
    return Row(
        f"{target}, {start}, {rate:g}",
        TARGETS[target],
        (*settings, f"algorithm.learning_rate={rate}", *loaded, *frozen),
    )


def measure(variant: Row, seed: int, run: RecordedRun, first: Path) -> Measurement:
    """A ``run`` of a `row`, and how much of its encoder is that of the ``first`` one."""
    return {
        "row": variant.name,
        "seed": seed,
        "reached": first_reached(run.series("evaluation/success"), ENOUGH),
        "curve": curve(run, "evaluation/success"),
        "equal": equal_tensors(first, run.directory),
    }


def equal_tensors(first: Path, second: Path) -> list[int]:
    """How many tensors of the policy's encoder are bit-equal in the runs' checkpoints, and how many there are.

    The first run's is the one that encoders are loaded from, the second's its last.
    """
    loaded = read_tensors(resolve_checkpoint(first, "best"))
    trained = read_tensors(resolve_checkpoint(second, "last"))
    names = [name for name in loaded if name.startswith("algorithm/policy/encoder.")]
    return [sum(torch.equal(loaded[name], trained[name]) for name in names), len(names)]


def _columns(measurements: Sequence[Measurement], row: str) -> list[str]:
    """The cells of a row, with a value of each seed."""
    runs = [measurement for measurement in measurements if measurement["row"] == row]
    return [
        ", ".join("never" if run["reached"] is None else f"{run['reached']:,.0f}" for run in runs),
        *(", ".join(f"{_success(run['curve'], steps):.2f}" for run in runs) for steps in (EARLY, STEPS)),
        ", ".join("{} of {}".format(*run["equal"]) for run in runs),
    ]


def _success(curve: list[list[float]], steps: int) -> float:
    """The success at the first evaluation after ``steps`` or more."""
    return next(success for at, success in curve if at >= steps)


if __name__ == "__main__":
    main()

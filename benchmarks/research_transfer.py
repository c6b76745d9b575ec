"""Whether what was learned at low levels helps elsewhere: ``python benchmarks/research_transfer.py --runs FOLDER``.

Trains the full pipeline up to a low level. Then anew, up to higher levels and on real facts (extra factbook): from
scratch, from the encoder that was trained, and with that encoder frozen; at two learning rates. What counts is how
many steps it takes to a rate of success of one half at the higher level.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from framework.runtime.disk.checkpoint import resolve_checkpoint
from framework.toolkit.transfer import read_tensors
from measure.kept_runs import Trainer, add_training_arguments, series
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
#: Where to: pipelines.
TARGETS = {f"level {HIGH}": EXAMPLES / "research.toml", "factbook": EXAMPLES / "research-factbook.toml"}
#: How: beginnings and learning rates. On real facts, those that did best at the higher level.
HOW = {
    f"level {HIGH}": [(how, rate) for how in (SCRATCH, LOADED, FROZEN) for rate in (USUAL, SMALL)],
    "factbook": [(SCRATCH, USUAL), (LOADED, SMALL)],
}
#: As many in all ways, since the learning rate falls to 0 with the last one.
STEPS = 250_000
#: Where it tells who began better.
EARLY = 100_000


def main() -> None:
    """Do what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_training_arguments(parser)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), help="where to (all)")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-transfer.json)")
    options = parser.parse_args()
    before = machine()
    ways = [(target, how) for target in options.targets for how in HOW[target]]
    with ThreadPoolExecutor(options.jobs) as pool, Trainer(options.runs.resolve(), options.set) as trainer:
        firsts = dict(zip(options.seeds, pool.map(lambda seed: trainer.run(FIRST, seed), options.seeds), strict=True))
        jobs = [(row(target, *how, firsts[seed]), seed) for target, how in ways for seed in options.seeds]
        measurements = list(pool.map(lambda job: measure(trainer, *job, firsts[job[1]]), jobs))
    publish(
        "research-transfer",
        table(
            ["to", "", "learning rate", f"steps to {ENOUGH:.0%}", f"after {EARLY:,}", f"after {STEPS:,}", "as loaded"],
            [
                [target, how, f"{rate:g}", *_columns([each for each in measurements if each["row"] == name])]
                for target, (how, rate) in ways
                for name in [row(target, how, rate).name]
            ],
        ),
        output=options.output,
        settings={"low": LOW, "high": HIGH, "steps": STEPS, "seeds": options.seeds, "set": options.set},
        measurements=measurements,
        machine=before,
    )
    if options.output is None:
        fill()


def row(target: str, how: str, rate: float, first: Path | None = None) -> Row:
    """What is trained at one of the `TARGETS`, begun from a run unless from scratch."""
    loaded = () if how == SCRATCH else (f'encoder.init_from="{first}"',)
    frozen = ("encoder.freeze=true",) if how == FROZEN else ()
    often = (f"evaluation.tasks=[{HIGH}]", "evaluation.every_steps=20_000", f"run.total_steps={STEPS}")
    return Row(
        f"{target}, {how}, {rate:g}",
        TARGETS[target],
        (*often, f"algorithm.learning_rate={rate}", *loaded, *frozen),
    )


def measure(trainer: Trainer, chosen: Row, seed: int, first: Path) -> Measurement:
    """A run of a `row`, and what it took from the ``first`` one."""
    directory = trainer.run(chosen, seed)
    curve = series(directory, "evaluation/success")
    reached = next((steps for steps, success in curve if success >= ENOUGH), None)
    return {
        "row": chosen.name,
        "seed": seed,
        "reached": reached,
        "curve": curve,
        "equal": equal_tensors(first, directory),
    }


def equal_tensors(first: Path, second: Path) -> list[int]:
    """How many tensors of the policy's encoder are bit-equal in the runs' checkpoints, and how many there are.

    The first run's is the one that encoders are loaded from, the second's its last.
    """
    one = read_tensors(resolve_checkpoint(first, "best"))
    other = read_tensors(resolve_checkpoint(second, "last"))
    names = [name for name in one if name.startswith("algorithm/policy/encoder.")]
    return [sum(torch.equal(one[name], other[name]) for name in names), len(names)]


def _columns(measurements: Sequence[Measurement]) -> list[str]:
    """Of a row's seeds."""
    return [
        ", ".join("never" if each["reached"] is None else f"{each['reached']:,.0f}" for each in measurements),
        *(", ".join(f"{_success(each['curve'], steps):.2f}" for each in measurements) for steps in (EARLY, STEPS)),
        ", ".join("{} of {}".format(*each["equal"]) for each in measurements),
    ]


def _success(curve: list[list[float]], steps: int) -> float:
    """At the first evaluation from so many steps on."""
    return next(success for at, success in curve if at >= steps)


if __name__ == "__main__":
    main()

"""Search for settings: train trials, prune them, and write the best as a pipeline."""

from __future__ import annotations

import shlex
import signal
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from framework.commands._table import table
from framework.errors import EXIT_DONE, EXIT_INTERRUPTED, FrameworkError

if TYPE_CHECKING:
    from framework.studies.ledger import Ledger, Trial
    from framework.studies.sweep import Plan

#: Trials that the table has.
_SHOWN = 10


@click.command()
@click.argument("pipeline", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("space", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--trials", default=50, show_default=True, type=click.IntRange(1), help="How many trials.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="How many runs at a time.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the sweep lies, and is found again; sweeps/NAME of the pipeline's file by default.",
)
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Runs of a trial, with seeds from run.seed on; their mean is its score.",
)
@click.option(
    "--metric",
    default="evaluation/return",
    show_default=True,
    metavar="COLUMN",
    help="Column of metrics.jsonl; its last value, the larger the better, is the score of a run.",
)
@click.option(
    "--startup",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Trials that are drawn at random; until as many are complete, none is pruned.",
)
@click.option(
    "--prune/--no-prune",
    default=True,
    show_default=True,
    help="End trials whose first seed is, from a third of its steps on, below the median of earlier trials.",
)
def command(
    pipeline: Path,
    space: Path,
    trials: int,
    jobs: int,
    folder: Path | None,
    seeds: int,
    metric: str,
    startup: int,
    prune: bool,
) -> int:
    """Search for settings of the pipeline file PIPELINE in the ranges of SPACE, a TOML file of dotted keys.

    Such as: "algorithm.learning_rate" = { low = 1e-5, high = 1e-2, log = true }

    Ctrl-C saves the runs and shows the best so far; the same command goes on, also after a kill or a power cut. Needs
    Optuna: pip install "framework-rl[tune]"
    """
    from framework.pipeline import load
    from framework.studies.jobs import Jobs
    from framework.studies.ledger import Ledger, import_optuna
    from framework.studies.space import read_space
    from framework.studies.sweep import Plan, Sweep, claimed, settle

    loaded = load(pipeline)
    plan = Plan(pipeline, loaded, read_space(space, pipeline), trials, jobs, seeds, metric, startup, prune)
    if metric.startswith("evaluation/") and not loaded.evaluation.episodes:
        raise FrameworkError(f"{metric} needs evaluations: set evaluation.episodes in {pipeline}, or choose a --metric")
    import_optuna()  # before anything is made
    folder = folder or Path("sweeps") / pipeline.stem
    status = EXIT_DONE
    with claimed(folder):
        lag = settle(folder, plan)
        with closing(Ledger(folder / "study.sqlite", plan.space, seed=loaded.run.seed, startup=startup)) as ledger:
            if plan.adds_evaluations:
                click.echo(
                    f"{pipeline} evaluates at the end only: for pruning, trials are evaluated every"
                    f" {plan.every_steps:,} steps (--no-prune leaves that out)"
                )
            ended = signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                with Jobs(jobs) as trainer:
                    Sweep(plan, folder, lag, ledger, trainer, click.echo).run()
            except KeyboardInterrupt:
                click.echo("interrupted: runs are saved, and the same command goes on", err=True)
                status = EXIT_INTERRUPTED
            finally:
                signal.signal(signal.SIGTERM, ended)
            _show(plan, folder, ledger)
    return status


def _show(plan: Plan, folder: Path, ledger: Ledger) -> None:
    """Print how the trials stand, and the best of them, which is also written."""
    from framework.studies.best import write_best

    trials = ledger.trials()
    counts = (
        f"{sum(trial.state == state for trial in trials)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if any(trial.state == state for trial in trials)
    )
    click.echo(f"\n{len(trials)} of {plan.trials} trials: {', '.join(counts)}")
    for trial in trials:
        if trial.state == "failed":
            click.echo(f"trial {trial.number} failed: {trial.failure}")
    complete = sorted(
        (trial for trial in trials if trial.score is not None and trial.state == "complete"),
        key=lambda trial: (-(trial.score or 0.0), trial.number),
    )
    if not complete:
        click.echo("no trial is complete: there is no best one yet")
        return
    click.echo(f"\n{table(_rows(complete[:_SHOWN], plan))}\n")
    if importance := ledger.importance():
        click.echo("importance: " + ", ".join(f"{key} {share:.0%}" for key, share in importance.items()))
    best = complete[0]
    overrides = shlex.join(plan.space.overrides(best.values))
    click.echo(f"best: framework run {shlex.quote(str(plan.pipeline))} {overrides}")
    file = folder / "best.toml"
    runs = f"mean of {plan.seeds} seeds" if plan.seeds > 1 else "one seed"
    title = f"The best of {len(complete)} complete trials, number {best.number}: {plan.metric} {best.score:g}, {runs}."
    if write_best(file, plan.pipeline, best.values, title):
        click.echo(f"as a pipeline: {file}")
    else:
        there = plan.pipeline.with_name(f"{plan.pipeline.stem}-best.toml")
        click.echo(
            f"as a pipeline: {file}, to be copied to where the Python files that it names are:"
            f" {shlex.join(['cp', str(file), str(there)])}"
        )


def _rows(trials: list[Trial], plan: Plan) -> list[list[str]]:
    from framework.pipeline.toml import split
    from framework.studies.space import shortened

    keys = [dimension.key for dimension in plan.space.dimensions]
    cells = [
        [
            str(trial.number),
            f"{trial.score:g}",
            *(shortened(trial.values[key]) if key in trial.values else "" for key in keys),
        ]
        for trial in trials
    ]
    names = [split(key)[-1] for key in keys]
    heads = [name if names.count(name) == 1 and name != "use" else key for key, name in zip(keys, names, strict=True)]
    return [["trial", plan.metric, *heads], *cells]

"""Runs that are kept in a folder: trained once, resumed where they were interrupted, then only read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from framework.studies.jobs import Job
from framework.studies.recorded_run import RecordedRun
from measure.research_rows import Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of scripts that read kept runs: ``runs`` and ``seeds``."""
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs and of their scores")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="seeds of each row (default 1 2 3)")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of scripts that also train: ``jobs``, and overrides that are ``set``."""
    add_arguments(parser)
    parser.add_argument("--jobs", type=int, default=1, help="number of runs trained or evaluated at a time")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE",
                        help="overrides of all training runs, such as runtime.samplers=0")  # fmt: skip


def job(runs: Path, row: Row, seed: int, overrides: Sequence[str] = ()) -> Job:
    """The training of a row with a seed, in its folder of ``runs``."""
    return Job(runs / row.folder / f"seed-{seed}", row.pipeline, (*row.overrides, *overrides, f"run.seed={seed}"))


def tell(line: str) -> None:
    """Say on standard error what is being trained."""
    print(line, file=sys.stderr, flush=True)


def curve(run: RecordedRun, column: str) -> list[list[float]]:
    """Environment steps and values of a column, as result files have them; nothing where the run has no such column."""
    if column not in run.columns:
        return []
    return [[int(steps), round(float(value), 4)] for steps, value in zip(*run.series(column), strict=True)]


def kept_of_table(runs: Path, row: str, seeds: Sequence[int]) -> list[Path]:
    """Runs that ``research_table.py`` trained for a row, by its folder. Raises `SystemExit` where one is missing."""
    kept = [Job(runs / row / f"seed-{seed}", Path()).kept() for seed in seeds]
    if None in kept:
        raise SystemExit(f"{runs / row} has no run of each seed: research_table.py trains them")
    return [run.directory for run in kept if run is not None]

"""Compare variants of a pipeline over several seeds, or runs that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framework.errors import EXIT_DONE, EXIT_INTERRUPTED, writing

if TYPE_CHECKING:
    from framework.studies.groups import Group

    _ParamType = click.ParamType[tuple[int, ...]]
else:
    _ParamType = click.ParamType  # older versions of click cannot subscript it

_SEEDS = 5


class Seeds(_ParamType):
    """A number of seeds, ``5`` for 1 to 5, or the seeds themselves, ``1,2,7``."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The seeds that a text means."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d{1,9}(,\d{1,9})*,?", value):
            self.fail(f"{value!r} is neither a number of seeds, such as 5, nor seeds, such as 1,2,7", param, ctx)
        numbers = tuple(int(number) for number in value.split(",") if number)
        seeds = numbers if "," in value else tuple(range(1, numbers[0] + 1))
        if not seeds or len(set(seeds)) < len(seeds):
            self.fail(f"{value!r} names no seed, or one of them twice", param, ctx)
        return seeds


@click.command()
@click.argument("arguments", nargs=-1, required=True, metavar="PIPELINE [OVERRIDES]... | RUN...")
@click.option(
    "--seeds",
    type=Seeds(),
    help=f"How many seeds, such as 5 for 1 to 5, or which, such as 1,2,7 (default {_SEEDS}).",
)
@click.option(
    "--against",
    multiple=True,
    metavar="OVERRIDES",
    help="Also train the pipeline with these overrides, such as 'encoder.use=gru algorithm.epochs=2'; may be given "
    "several times.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="How many runs are trained at a time (default 1).")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the study; runs that it has are kept or resumed (default studies/PIPELINE).",
)
@click.option(
    "--metric",
    default="evaluation/return",
    show_default=True,
    metavar="COLUMN",
    help="The column of metrics.jsonl whose last value is the score of a run; more is better.",
)
@click.option(
    "--curve",
    default="return",
    show_default=True,
    metavar="COLUMN",
    help="The column that learning curves show; by default the return of training episodes.",
)
@click.option("--threshold", type=float, help="Tell after how many steps the learning curves reach this value.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write all numbers as JSON; - prints them instead of the tables.",
)
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the tables as Markdown.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with charts.")
def command(
    arguments: tuple[str, ...],
    seeds: tuple[int, ...] | None,
    against: tuple[str, ...],
    jobs: int | None,
    folder: Path | None,
    json_file: Path | None,
    markdown: Path | None,
    html: Path | None,
    **options: Any,
) -> int:
    """Train PIPELINE with several seeds, and with each --against once more, and compare what comes of it.

    OVERRIDES are dotted keys with TOML values, such as algorithm.learning_rate=1e-4; they are for all variants. The
    same command goes on where it was stopped: runs that are whole are kept, others resumed.

    With RUNs, run directories or folders of studies, nothing is trained. Runs that differ in their seed alone are a
    group; the first group is what the others are compared with.

    Intervals are 95% bootstrap confidence intervals over runs.
    """
    from framework.report import comparison as report
    from framework.studies.comparison import compare

    first = Path(arguments[0])
    if first.is_dir():
        if seeds or against or jobs or folder:
            raise click.UsageError("--seeds, --against, --jobs and --folder are for a pipeline file, not for runs")
        groups, notes = _recorded([Path(argument) for argument in arguments])
        title = " and ".join(dict.fromkeys(group.runs[0].name for group in groups))
    elif first.is_file():
        place = folder or Path("studies") / first.stem
        try:
            groups = _trained(place, first, arguments[1:], against, seeds, jobs or 1, options["metric"])
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on", err=True)
            return EXIT_INTERRUPTED
        notes, title = [], first.stem
    else:
        raise click.UsageError(f"{first} is neither a pipeline file nor a run directory")
    comparison = compare(
        groups,
        metric=options["metric"],
        column=options["curve"],
        threshold=options["threshold"],
        notes=notes,
    )
    values = json.dumps(report.values(comparison), indent=1)
    to_stdout = json_file is not None and str(json_file) == "-"
    click.echo(values if to_stdout else report.text(comparison))
    if json_file is not None and not to_stdout:
        _write(json_file, values + "\n")
    if markdown is not None:
        _write(markdown, report.markdown(comparison, title))
    if html is not None:
        from framework.report.comparison_page import comparison_page

        _write(html, comparison_page(comparison, title))
    return EXIT_DONE


def _trained(
    folder: Path,
    pipeline: Path,
    overrides: Sequence[str],
    against: Sequence[str],
    seeds: tuple[int, ...] | None,
    jobs: int,
    metric: str,
) -> list[Group]:
    """The runs of a study, all of them whole."""
    from framework.report.training import train
    from framework.studies.study import Study, overrides_of

    study = Study(
        folder, pipeline, overrides, [overrides_of(text) for text in against], seeds or tuple(range(1, _SEEDS + 1))
    )
    if metric.startswith("evaluation/") and not study.evaluates:
        raise click.UsageError(f"{pipeline} has no evaluations: set evaluation.episodes=20, or --metric return")
    train(study, jobs)
    return study.groups


def _recorded(paths: Sequence[Path]) -> tuple[list[Group], list[str]]:
    """Groups of runs that exist, and notes on those that were left out."""
    from framework.studies.groups import grouped
    from framework.studies.recorded_run import RecordedRun
    from framework.studies.study import is_study, recorded_groups

    if len(paths) == 1 and is_study(paths[0]):
        return recorded_groups(paths[0])
    if studies := [path for path in paths if is_study(path)]:
        raise click.UsageError(f"{studies[0]} is a study, which is compared alone; its runs lie in {studies[0]}/*/*/*")
    return grouped([RecordedRun(path) for path in paths])


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

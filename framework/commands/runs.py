"""List the runs in a folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framework.commands._table import table
from framework.errors import EXIT_DONE, RunError

if TYPE_CHECKING:
    from framework.studies.recorded_run import RecordedRun

#: What a terminal that is too narrow goes without, first to last.
_LEFT_OUT = ("STARTED", "SEED", "TIME", "RETURN", "STEPS", "BEST")


@click.command()
@click.argument("folder", default="runs", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(folder: Path, as_json: bool) -> int:
    """List the runs in FOLDER (runs) or below it, the newest last.

    RETURN is the mean of the last 100 episodes of training, BEST the best evaluation, TIME without interruptions. A
    narrow terminal shows fewer columns.
    """
    from framework.report.terminal import is_terminal, size_of
    from framework.studies.recorded_run import runs_in

    listed = []
    for run in runs_in(folder):
        try:
            listed.append(_values(run))
        except RunError as error:  # the others are no worse for it
            click.echo(f"left out: {error}", err=True)
    if as_json:
        click.echo(json.dumps(listed, indent=2))
    elif listed:
        width = size_of(sys.stdout)[0] if is_terminal(sys.stdout) else None
        click.echo(_fitted([_row(values, folder) for values in listed], width))
    else:
        click.echo(f"there are no runs in {folder}", err=True)
    return EXIT_DONE


def _values(run: RecordedRun) -> dict[str, Any]:
    return {
        "directory": str(run.directory),
        "name": run.name,
        "status": run.status,
        "steps": run.steps,
        "total_steps": run.total_steps,
        "return": run.last("return"),
        "best_evaluation": run.best,
        "seed": run.seed,
        "started": run.started.isoformat() if run.started else None,
        "seconds": run.last("time/seconds"),
    }


def _row(values: dict[str, Any], folder: Path) -> dict[str, str]:
    from framework.report.numbers import compact, duration

    started, seconds = values["started"], values["seconds"]
    return {
        "RUN": os.path.relpath(values["directory"], folder),
        "STATUS": values["status"],
        "STEPS": f"{compact(values['steps'])} of {compact(values['total_steps'])}",
        "RETURN": _number(values["return"]),
        "BEST": _number(values["best_evaluation"]),
        "SEED": str(values["seed"]),
        "STARTED": "-" if started is None else started[:16].replace("T", " "),
        "TIME": "-" if seconds is None else duration(seconds),
    }


def _fitted(rows: list[dict[str, str]], width: int | None) -> str:
    """The table of rows, with as many columns as ``width`` has room for."""
    columns = list(rows[0])
    for name in (None, *_LEFT_OUT):
        columns = [column for column in columns if column != name]
        text = table([columns, *([row[column] for column in columns] for row in rows)])
        if width is None or max(map(len, text.splitlines())) < width:
            break
    return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

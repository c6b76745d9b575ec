"""List the example pipelines, or copy one here."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from framework.commands._examples import Example


@click.command()
@click.argument("name", required=False)
@click.option(
    "--to",
    "folder",
    default=".",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Copy into this folder instead of the current one.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
def command(name: str | None, folder: Path, as_json: bool) -> None:
    """List the example pipelines with their environment steps, and with what they aim at and reached when measured.

    With NAME, copy that pipeline, the files that it extends and the Python files that it uses. Nothing is overwritten.
    """
    from framework.commands._examples import copy, find_example, list_examples, needed_files

    if name is None:
        if folder != Path():
            raise click.UsageError("--to is for copying an example: name one")
        examples, note = list_examples()
        click.echo(json.dumps([_values(example) for example in examples], indent=2) if as_json else _table(examples))
        if not as_json:
            meaning = "AIM and REACHED are mean returns of the last evaluation, where they are not put in words."
            click.echo(f"\n{meaning}\n{note}\n`framework examples NAME` copies one into this folder.")
        return
    if as_json:
        raise click.UsageError("--json is for the list: leave NAME out")
    pipeline, *helpers = copy(needed_files(find_example(name)), folder)
    for file in (pipeline, *helpers):
        click.echo(f"wrote {file}")
    example = next(example for example in list_examples()[0] if example.name == name)
    commands = [install] if (install := _install(example)) else []
    commands.append(f"framework run {shlex.quote(str(pipeline))}")
    click.echo("\nNext:\n\n" + "\n".join(f"  {line}" for line in commands))


def _missing_extras(example: Example) -> list[str]:
    from framework.commands._extras import missing

    return [extra for extra in example.extras if missing(extra)]


def _install(example: Example) -> str:
    """The command that installs what the example lacks here; empty where it lacks nothing."""
    from framework.commands._extras import DISTRIBUTION

    extras = _missing_extras(example)
    return f'pip install "{DISTRIBUTION}[{",".join(extras)}]"' if extras else ""


def _values(example: Example) -> dict[str, object]:
    from attrs import asdict

    return asdict(example) | {"missing_extras": _missing_extras(example)}


def _table(examples: list[Example]) -> str:
    """A row for each example, and below it what it is and what it needs."""
    from framework.commands._table import table

    rows = [("EXAMPLE", "STEPS", "MINUTES", "REACHED", "AIM")]
    for example in examples:
        minutes = "{:.1f} to {:.1f}".format(*example.minutes) if example.minutes else "-"
        rows.append((example.name, f"{example.steps:,}", minutes, example.reached or "-", example.aim or "-"))
    heading, *lines = table(rows).splitlines()
    text = [heading]
    for example, line in zip(examples, lines, strict=True):
        install = _install(example)
        text += [line, f"  {example.summary}" + (f"; needs {install}" if install else "")]
    return "\n".join(text)

"""Write the JSON Schema of pipeline files, for completion and checks in editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from framework.errors import writing


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def command(output: Path | None) -> None:
    """Write the JSON Schema of pipeline files, with the options of every component that is installed.

    Editors complete and check a pipeline file that starts with the line: #:schema ./pipeline.schema.json
    """
    from framework.catalog import default_catalog
    from framework.pipeline.describe import pipeline_schema

    schema, unknown = pipeline_schema(default_catalog())
    for reason in unknown:
        click.echo(f"left out: {reason}", err=True)
    text = json.dumps(schema, indent=2)
    if output is None:
        click.echo(text)
    else:
        with writing(output):
            output.write_text(f"{text}\n", encoding="utf-8")

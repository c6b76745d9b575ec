"""Write a page about a run, or about several."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file; by default report.html in RUN, or here where there are several.",
)
@click.option(
    "--videos",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="MB",
    help="Megabytes of videos that the page holds at most, the newest first; the others are linked.",
)
def command(runs: tuple[Path, ...], output: Path | None, videos: float) -> None:
    """Write what run directories tell to one HTML page that needs neither network nor scripts.

    Runs of one name are drawn as seeds of one pipeline: means, and their range. The runs may still go on.
    """
    from framework.report.numbers import amount
    from framework.report.run_report import write_report

    began = monotonic()
    if output is None:
        output = (runs[0] if len(runs) == 1 else Path()) / "report.html"
    size = write_report(runs, output, video_limit=round(videos * 1e6))
    click.echo(f"{output}: {amount(size)}, {monotonic() - began:.1f} s")

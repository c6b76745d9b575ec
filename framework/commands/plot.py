"""Draw metrics of runs, in the terminal or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from framework.commands._completion import complete_metrics, complete_runs
from framework.errors import EXIT_DONE

_LOWEST, _HIGHEST = 12, 28  #: lines of a chart


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    metavar="RUN...",
    type=click.Path(path_type=Path, exists=True),
    shell_complete=complete_runs,
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=("return",),
    show_default=True,
    metavar="COLUMN",
    help="A column of metrics.jsonl; may be given several times.",
    shell_complete=complete_metrics,
)
@click.option(
    "--axis",
    type=click.Choice(("steps", "updates", "time")),
    default="steps",
    show_default=True,
    help="What it is drawn along.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a picture here, .png or .svg, instead of drawing in the terminal.",
)
@click.option("--list", "listing", is_flag=True, help="List the metrics that the runs have.")
def command(runs: tuple[Path, ...], metrics: tuple[str, ...], axis: str, output: Path | None, listing: bool) -> int:
    """Draw metrics of runs. RUN is a run directory, or a folder of runs.

    Runs of one name that differ in their seeds alone are one curve, their mean, with the range from the lowest to the
    highest. Evaluations are drawn as points: framework plot RUN --metric return --metric evaluation/return
    """
    from framework.studies.curves import drawing_of
    from framework.studies.recorded_run import runs_at

    recorded = list({run.directory.resolve(): run for path in runs for run in runs_at(path)}.values())
    if listing:
        click.echo("\n".join(dict.fromkeys(name for run in recorded for name in run.columns)))
        return EXIT_DONE
    drawing = drawing_of(recorded, metrics, axis, lambda line: click.echo(line, err=True))
    if output is not None:
        from framework.report.picture import write_picture

        write_picture(drawing, output)
        click.echo(f"wrote {output}")
        return EXIT_DONE
    from framework.report.terminal import size_of, style_of
    from framework.report.text_chart import chart

    width, height = size_of(sys.stdout)
    share = max(_LOWEST, min(_HIGHEST, (height - 1) // len(drawing.panels)))
    style = style_of(sys.stdout)
    charts = ["\n".join(chart(panel, drawing.x_label, width, share, style)) for panel in drawing.panels]
    click.echo("\n\n".join(charts), color=style.colour)
    return EXIT_DONE

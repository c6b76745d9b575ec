"""Evaluate the policies of runs, or functions as policies."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from framework.commands._completion import complete_checkpoints, complete_evaluated


@click.command()
@click.argument(
    "arguments", nargs=-1, required=True, metavar="RUN... [OVERRIDES]...", shell_complete=complete_evaluated
)
@click.option("--policy", metavar="MODULE:NAME", help="A function that acts in place of the trained policy.")
@click.option(
    "--episodes", type=click.IntRange(min=1), help="Number of episodes; by default as in the run's evaluations."
)
@click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    shell_complete=complete_checkpoints,
    help='"best", "last", or the name of a checkpoint.',
)
@click.option("--stochastic", is_flag=True, help="Sample actions instead of taking the most probable ones.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of the episodes; by default as in the run's evaluations."
)
@click.option("--video", type=click.Path(path_type=Path, dir_okay=False), help="Write a video of the episodes here.")
@click.option("--task", help="A task for the episodes, as a TOML value; by default as in the run's evaluations.")
@click.option("--trust", is_flag=True, help="Import Python files that RUN names, even if another account made it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(arguments: tuple[str, ...], task: str | None, as_json: bool, **options: Any) -> None:
    """Play episodes with the policy of RUN, a run directory, or of several runs of one pipeline with other seeds.

    OVERRIDES are dotted keys with TOML values, such as environment.split='"test"'; they may change [environment] and
    [evaluation]. With --policy a function acts, (observation, action_mask, generator) -> action, and RUN may be a
    pipeline file. Intervals are 95% bootstrap confidence intervals of means: over episodes, and over seeds where there
    are several.
    """
    runs, overrides = _sorted(arguments)
    if len(runs) > 1 and options["video"]:
        raise click.UsageError("--video is for one run")
    if len(runs) > 1 and options["policy"]:
        raise click.UsageError("--policy is for one run or pipeline file: a function has no seeds")
    from framework.report.counter import Counter
    from framework.report.evaluation import describe, summarize
    from framework.runtime.evaluate.evaluate_run import check_seeds_of_one_pipeline, evaluate_run

    if len(runs) > 1:
        check_seeds_of_one_pipeline(runs, trust=options["trust"])
    tasks = None if task is None else (_value(task),)
    evaluations = []
    for number, run in enumerate(runs, 1):
        head = f"run {number} of {len(runs)}: " if len(runs) > 1 else ""
        with Counter(sys.stderr, head) as counter:
            evaluations.append(evaluate_run(run, overrides, tasks=tasks, watcher=counter.count, **options))
    summary = summarize(evaluations)
    print(json.dumps(summary) if as_json else describe(summary))
    if options["video"]:
        click.echo(f"wrote {options['video']}", err=True)


def _sorted(arguments: tuple[str, ...]) -> tuple[list[Path], list[str]]:
    """Runs, and overrides: arguments with an equals sign or a leading tilde that are no files."""
    overrides = [text for text in arguments if ("=" in text or text[:1] == "~") and not os.path.exists(text)]
    runs = [Path(text) for text in arguments if text not in overrides]
    if not runs:
        raise click.UsageError("name a run directory, or with --policy a pipeline file")
    for run in runs:
        if not run.exists():
            raise click.UsageError(f"there is no run directory or pipeline file {run}, and overrides are written a.b=1")
    return runs, overrides


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: strings need no quotes."""
    import tomllib

    from framework.pipeline.toml import too_large

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--task: {too_large(error)}") from None

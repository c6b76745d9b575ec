"""Evaluate a run's policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--episodes", default=20, show_default=True, type=click.IntRange(min=1), help="How many episodes.")
@click.option("--checkpoint", default="best", show_default=True, help='"best", "last", or the name of one.')
@click.option("--stochastic", is_flag=True, help="Sample actions instead of taking the most probable ones.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the episodes; by default that of the run's own.")
@click.option("--video", type=click.Path(path_type=Path, dir_okay=False), help="Write the episodes to this file.")
@click.option("--task", help="A task for the episodes, as a TOML value; by default those of the run's evaluations.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    run: Path,
    episodes: int,
    checkpoint: str,
    stochastic: bool,
    seed: int | None,
    video: Path | None,
    task: str | None,
    as_json: bool,
) -> None:
    """Play episodes with the policy of RUN, a run directory."""
    from framework.pipeline.build import build_environment
    from framework.report.live import describe_result
    from framework.runtime.agent import Acting
    from framework.runtime.evaluate import evaluate
    from framework.runtime.seeds import evaluation_seed
    from framework.runtime.session import load_agent, load_run

    pipeline = load_run(run)
    agent = load_agent(run, checkpoint)
    chosen = evaluation_seed(pipeline.run.seed) if seed is None else seed
    environment = build_environment(pipeline, render_mode="rgb_array" if video else None)
    tasks = pipeline.evaluation.tasks if task is None else (_value(task),)
    acting = Acting(agent.policy, chosen, deterministic=not stochastic)
    if video is None:
        result = evaluate(acting, environment, episodes, chosen, tasks=tasks)
    else:
        from framework.report.video import VideoWriter

        with VideoWriter(video) as writer:
            result = evaluate(acting, environment, episodes, chosen, tasks=tasks, record=writer.add)
    summary = result.summary()
    print(json.dumps(summary) if as_json else describe_result(summary))


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: strings need no quotes."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text

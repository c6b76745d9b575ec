"""What limits the pipeline: ``python benchmarks/research_limits.py --runs FOLDER``.

Has the full pipeline that ``research_table.py`` trained for 600,000 steps play the test split at a level above .5, and
splits its success by what comes up only there: second questions, and figures that ask for another bar than the tallest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from framework_research.worlds.world import HOPS, STATED, TALLEST
from measure.kept_runs import add_arguments, kept_of_table
from measure.pages import fill
from measure.research_play import environment_of, play
from measure.results import Measurement, machine, publish, table

FOLDER = "full-pipeline-600-000-steps"
LEVEL = 0.6


def main() -> None:
    """Play, and publish the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--episodes", type=int, default=1000, help="episodes of each seed (default 1000)")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-limits.json)")
    options = parser.parse_args()
    before = machine()
    played = []
    for run in kept_of_table(options.runs, FOLDER, options.seeds):
        environment = environment_of(run, options.episodes, split="test", task_complexity=LEVEL)
        success, worlds = play(run, environment), environment.episodes.worlds
        played.append((success, worlds["questions"], asks_for_another(worlds)))
    success, questions, asks_another = (np.stack(seeds) for seeds in zip(*played, strict=True))  # [seeds, episodes]
    rows, measurements = [], []
    for number in np.unique(questions):
        for another in (False, True):
            cell = (questions == number) & (asks_another == another)
            rates = [float(scores[mask].mean()) for scores, mask in zip(success, cell, strict=True) if mask.any()]
            bars = "another bar" if another else "the tallest, or none"
            rows.append([f"{number}", bars, f"{cell.sum():,}", ", ".join(f"{rate:.2f}" for rate in rates)])
            measurements.append(_measurement(int(number), another, cell.sum(1).tolist(), rates))
    publish(
        "research-limits",
        table(["questions", "figures ask for", "episodes", "success of each seed"], rows),
        output=options.output,
        settings={"level": LEVEL, "episodes": options.episodes, "seeds": options.seeds},
        measurements=measurements,
        machine=before,
    )
    if options.output is None:
        fill()


def asks_for_another(worlds: np.ndarray) -> np.ndarray:
    """[N] bool: whether some figure that questions of ``worlds`` [N] lead through asks for another than the tallest."""
    subjects = worlds["chain"][..., :HOPS]
    rules = np.take_along_axis(worlds["figure_rule"], subjects.reshape(len(worlds), -1).clip(0), 1)
    asks_another: np.ndarray = ((worlds["asked"] >= STATED) & (rules.reshape(subjects.shape) != TALLEST)).any((1, 2))
    return asks_another


def _measurement(questions: int, another: bool, episodes: list[int], success: list[float]) -> Measurement:
    return {"questions": questions, "another_bar": another, "episodes": episodes, "success": success}


if __name__ == "__main__":
    main()

"""Evaluates a policy in several settings and prints the scores of all episodes: ``python -m measure.assess TARGET``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from framework.runtime.evaluate.evaluate_run import evaluate_run
from measure.processes import say


def main() -> None:
    """Evaluate in each cell."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("target", type=Path)
    arguments.add_argument("--cells", type=json.loads, required=True, help="overrides of each cell, by name")
    arguments.add_argument("--episodes", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--policy")
    options = arguments.parse_args()
    scores = {}
    for name, overrides in options.cells.items():
        result = evaluate_run(
            options.target, overrides, policy=options.policy, episodes=options.episodes, seed=options.seed
        )
        scores[name] = {score: [round(value, 6) for value in values] for score, values in result.scores().items()}
    say(scores=scores)


if __name__ == "__main__":
    main()

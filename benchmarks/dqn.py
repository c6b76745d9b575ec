"""Learning curves of DQN beside Stable-Baselines3's with the same settings, each with both initializations.

Scores are mean returns of the last 100 training episodes on CartPole-v1, averaged over those after 20, 30, 40 and 50
thousand steps.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure.processes import module, run
from measure.results import BENCHMARKS, interleaved, machine, publish, table, values
from measure.sides import SB3

_AT = (20_000, 30_000, 40_000, 50_000)
_ORTHOGONAL = "orthogonal"


def main() -> None:
    """Train all rows, print the table, and write the curves."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=5, help="number of seeds of each row (default 5)")
    arguments.add_argument("--sb3-python", required=True, metavar="PATH", help="Python with stable-baselines3")
    arguments.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/learning-dqn-peer.json)")
    options = arguments.parse_args()
    before = machine()

    def framework_dqn(*overrides: str) -> Any:
        return lambda repeat: _scored(
            run(module("train", BENCHMARKS / "pipelines" / "dqn.toml", f"run.seed={repeat + 1}", *overrides))
        )

    def sb3_dqn(*flags: str) -> Any:
        return lambda repeat: _scored(
            run([options.sb3_python, "-m", "peers.sb3_dqn", "--seed", str(repeat + 1), *flags])
        )

    rows = {
        "dqn": framework_dqn(),
        SB3: sb3_dqn(),
        f"dqn, {_ORTHOGONAL}": framework_dqn('algorithm.initialization="orthogonal"'),
        f"{SB3}, {_ORTHOGONAL}": sb3_dqn("--orthogonal"),
    }
    measurements = interleaved(rows, options.seeds)
    scores = {row: values(measurements, row, "score") for row in rows}
    lines = [
        [row, len(seeds), statistics.mean(seeds), min(seeds), max(seeds), p_value(seeds, scores[SB3])]
        for row, seeds in scores.items()
    ]
    publish(
        "learning-dqn-peer",
        table(["", "seeds", "mean return", "lowest", "highest", f"p against {SB3}"], lines),
        output=options.output,
        settings={"seeds": options.seeds, "at": _AT},
        measurements=measurements,
        machine=before,
    )


def _scored(result: dict[str, Any]) -> dict[str, Any]:
    curve = [[steps, round(value, 2)] for steps, value in result["curve"]]
    returns = (max(point for point in curve if point[0] <= steps)[1] for steps in _AT)
    return {"score": statistics.mean(returns), "curve": curve}


def p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """The exact permutation test: the share of all relabellings of the scores whose means differ at least as much."""
    scores, size = [*first, *second], len(first)
    observed = abs(statistics.mean(first) - statistics.mean(second))
    splits = list(itertools.combinations(range(len(scores)), size))
    extreme = 0
    for split in splits:
        rest = [score for index, score in enumerate(scores) if index not in split]
        difference = abs(statistics.mean(scores[index] for index in split) - statistics.mean(rest))
        extreme += difference >= observed - 1e-12
    return extreme / len(splits)


if __name__ == "__main__":
    main()

"""Learning curves of DQN beside Stable-Baselines3's with the same settings, each initialised in both ways.

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
    """Train all, print the table, and write the curves."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=5, help="how many of each (default 5)")
    arguments.add_argument("--sb3-python", required=True, metavar="PATH", help="Python with stable-baselines3")
    arguments.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/learning-dqn-peer.json)")
    options = arguments.parse_args()
    before = machine()

    def ours(*overrides: str) -> Any:
        return lambda repeat: _scored(
            run(module("train", BENCHMARKS / "pipelines" / "dqn.toml", f"run.seed={repeat + 1}", *overrides))
        )

    def sb3(*more: str) -> Any:
        return lambda repeat: _scored(
            run([options.sb3_python, "-m", "peers.sb3_dqn", "--seed", str(repeat + 1), *more])
        )

    rows = {
        "dqn": ours(),
        SB3: sb3(),
        f"dqn, {_ORTHOGONAL}": ours('algorithm.initialization="orthogonal"'),
        f"{SB3}, {_ORTHOGONAL}": sb3("--orthogonal"),
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


def _scored(said: dict[str, Any]) -> dict[str, Any]:
    curve = [[steps, round(value, 2)] for steps, value in said["curve"]]
    return {"score": statistics.mean(max(point for point in curve if point[0] <= at)[1] for at in _AT), "curve": curve}


def p_value(one: Sequence[float], two: Sequence[float]) -> float:
    """How often means differ as much where the labels of all scores are exchanged: the exact permutation test."""
    scores, size = [*one, *two], len(one)
    observed = abs(statistics.mean(one) - statistics.mean(two))
    splits = list(itertools.combinations(range(len(scores)), size))
    extreme = 0
    for split in splits:
        rest = [score for index, score in enumerate(scores) if index not in split]
        apart = abs(statistics.mean(scores[index] for index in split) - statistics.mean(rest))
        extreme += apart >= observed - 1e-12
    return extreme / len(splits)


if __name__ == "__main__":
    main()

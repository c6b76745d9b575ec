"""The aims of the examples, which stand in their first lines and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from measure.results import BENCHMARKS, Measurement, show, values

EXAMPLES = BENCHMARKS.parent / "examples"
_AIM = re.compile(r"# ([\w-]+).*? Aim: an evaluation of (-?[\d.]+\d) or more after ([\d,]+) steps")


@frozen
class Aim:
    """A greedy evaluation that a run has to reach, with every seed."""

    environment: str
    score: float  #: mean return of the last evaluation
    steps: int  #: of the environment

    def verdict(self, measurements: Sequence[Measurement], row: str) -> list[float | str | None]:
        """Seeds, steps, seconds of a run, returns, the aim, and how many seeds reached it."""
        returns = values(measurements, row, "return")
        seconds = values(measurements, row, "seconds")
        reached = sum(value >= self.score for value in returns)
        return [
            ", ".join(map(str, values(measurements, row, "seed"))),
            max(values(measurements, row, "steps")),
            f"{show(min(seconds))} to {show(max(seconds))}",
            ", ".join(f"{value:.4g}" for value in returns),
            self.score,
            f"{reached} of {len(returns)}",
        ]


def aims() -> dict[str, Aim]:
    """The aims of all examples that have one, by the example's name."""
    matches = {path.stem: _AIM.match(path.read_text(encoding="utf-8")) for path in sorted(EXAMPLES.glob("*.toml"))}
    return {
        name: Aim(match[1], float(match[2]), int(match[3].replace(",", ""))) for name, match in matches.items() if match
    }

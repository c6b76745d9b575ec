"""Draws the learning curves of runs: ``python docs/plot.py RUN... --output curve.png``.

Runs of one name (``run.name``) are drawn as one line, the mean, with the range from the lowest to the highest.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np


def curve(run: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Environment steps and the values of a column of ``metrics.jsonl``, where it has one."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    pairs = [(line["steps"], line[column]) for line in lines if column in line]
    if not pairs:
        raise SystemExit(f"{run} has no {column!r} in its metrics")
    steps, values = zip(*pairs, strict=True)
    return np.array(steps), np.array(values)


def draw(runs: list[Path], column: str, output: Path) -> None:
    """Write the picture."""
    groups = defaultdict(list)
    for run in runs:
        name = tomllib.loads((run / "pipeline.toml").read_text())["run"]["name"]
        groups[name].append(curve(run, column))
    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=120)
    for name, curves in groups.items():
        # Compared where all of them have values, at the points of the first.
        start, end = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
        grid = curves[0][0][(curves[0][0] >= start) & (curves[0][0] <= end)]
        values = np.stack([np.interp(grid, steps, series) for steps, series in curves])
        seeds = f"{len(curves)} seed{'s' if len(curves) > 1 else ''}"
        (line,) = axes.plot(grid, values.mean(0), label=f"{name} ({seeds})")
        axes.fill_between(grid, values.min(0), values.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel=column)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(output, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--column", default="return", help='a column of metrics.jsonl; "return" by default')
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    draw(arguments.runs, arguments.column, arguments.output)

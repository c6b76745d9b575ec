"""Evaluations with confidence intervals of their scores, as values and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.runtime.evaluate.evaluate import Evaluation
from framework.toolkit.statistics import interquartile_mean, mean, two_level_interval

IQM = "return_iqm"


def summarize(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The summary of evaluations of one policy, or of one for each run, all with the same number of episodes.

    That of all episodes together, and: ``return_iqm``, the interquartile mean; ``intervals``, [low, high] at 95 % of
    each mean, over runs and their episodes; ``runs``.
    """
    by_run = [evaluation.scores() for evaluation in evaluations]
    common = [name for name in by_run[0] if all(name in run for run in by_run)]
    scores = {name: np.stack([run[name] for run in by_run]) for name in common}
    statistics = {name: (mean, values) for name, values in scores.items()}
    statistics[IQM] = (interquartile_mean, scores["return"])
    intervals = {
        name: two_level_interval(statistic, values, generator=np.random.default_rng(0))
        for name, (statistic, values) in statistics.items()
    }
    returns = scores["return"]
    return {
        **{name: interval.estimate for name, interval in intervals.items()},
        "return_std": float(returns.std()),
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()},
        "runs": len(evaluations),
        "episodes": returns.size,
    }


def describe(summary: dict[str, Any]) -> str:
    """The result of `summarize`, a line for each score."""
    runs, episodes = summary["runs"], summary["episodes"]
    head = f"{episodes} episodes" if runs == 1 else f"{runs} runs of {episodes // runs} episodes"
    extremes = f"(min {summary['return_min']:.2f}, max {summary['return_max']:.2f})"
    shown = ["return", IQM, "success", *(name for name in summary if name.startswith("metrics/")), "length"]
    rows = []
    for name in (name for name in shown if name in summary):
        title = "return IQM" if name == IQM else name.removeprefix("metrics/")
        low, high = (_number(name, bound) for bound in summary["intervals"][name])
        rows.append((title, _number(name, summary[name]), f"[{low}, {high}]", extremes if name == "return" else ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join([f"{head}, means with 95% intervals", *lines])


def _number(name: str, value: float) -> str:
    if name == "success":
        return f"{value:.1%}"
    return f"{value:.1f}" if name == "length" else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"

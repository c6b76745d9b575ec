"""The tables of the research environment, from the scores of all episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from framework.toolkit.statistics import (
    Interval,
    Statistic,
    interquartile_mean,
    mean,
    stratified_interval,
    two_level_interval,
)
from measure.research_rows import FACTBOOK, RANDOM, SOURCE, TESTED, tested, transfer_cells
from measure.results import Measurement, table

#: Scores of a row: cell -> score -> [seeds, episodes].
Scores = Mapping[str, Mapping[str, np.ndarray]]
#: Column -> score, factor, and decimal places.
_COLUMNS = {
    "completed, %": ("success", 100, 1),
    "reward × 100": ("return", 100, 1),
    "steps": ("length", 1, 1),
    "efficiency": ("metrics/efficiency", 1, 3),
}


def stacked(measurements: Sequence[Mapping[str, Any]], row: str) -> Scores:
    """The scores of a row's seeds, stacked."""
    runs = [measurement["scores"] for measurement in measurements if measurement["row"] == row]
    return {
        cell: {score: np.array([run[cell][score] for run in runs]) for score in scores}
        for cell, scores in runs[0].items()
    }


def columns(scores: Scores, level: float) -> dict[str, Interval | None]:
    """The columns of a row on the test split; None where the environment does not measure one."""
    cell = scores[tested(level)]
    return {
        name: _interval(lambda values, factor=factor: factor * mean(values), cell[score]) if score in cell else None
        for name, (score, factor, _) in _COLUMNS.items()
    }


def transfer(scores: Scores, random: Scores, level: float) -> Interval | None:
    """The share of what a policy gains over chance where it was trained that it gains elsewhere, too.

    Clipped to [0, 1] for each target, averaged over targets; None where nothing is gained.
    """
    names = [name for name in transfer_cells(level) if name in scores]
    successes = [policy[name]["success"] for policy in (scores, random) for name in names]

    def gained(*sampled: np.ndarray) -> float:
        rates = np.array([mean(values) for values in sampled])
        source, *targets = rates[: len(names)] - rates[len(names) :]
        return float(np.clip(np.array(targets) / source, 0, 1).mean()) if source > 0 else 0.0

    assert names[0].startswith(SOURCE)
    return _interval(gained, *successes) if mean(successes[0]) > mean(successes[len(names)]) else None


def main_table(rows: Mapping[str, Scores], level: float) -> str:
    """All columns at a level."""
    lines = []
    for name, scores in rows.items():
        cells = [shown(interval, column) for column, interval in columns(scores, level).items()]
        transferred = transfer(scores, rows[RANDOM], level) if RANDOM in rows else None
        lines.append([name, *cells, shown(transferred, "transfer")])
    return table(["", *_COLUMNS, "transfer"], lines)


def ablation_table(rows: Mapping[str, Scores], levels: Sequence[float]) -> str:
    """Completion at each level, and the other columns at the first."""
    first, *further = levels
    titles = [f"{name} at {first:g}" for name in _COLUMNS] + [f"completed, % at {level:g}" for level in further]
    lines = []
    for name, scores in rows.items():
        cells = [shown(interval, column) for column, interval in columns(scores, first).items()]
        cells += [shown(columns(scores, level)["completed, %"], "completed, %") for level in further]
        lines.append([name, *cells])
    return table(["", *titles], lines)


def level_table(rows: Mapping[str, Scores]) -> str:
    """Completion at each level that all rows play, and over all of them: the interquartile mean of levels and seeds."""
    lines = []
    levels = sorted(set.intersection(*(set(_levels(scores)) for scores in rows.values())))
    for name, scores in rows.items():
        by_level = [100 * scores[tested(level)]["success"].mean(1) for level in levels]
        overall = stratified_interval(interquartile_mean, by_level, np.random.default_rng(0))
        lines.append([name, *(f"{rates.mean():.1f}" for rates in by_level), shown(overall, "completed, %")])
    return table(["completed, %", *(f"{level:g}" for level in levels), "IQM"], lines)


def training_table(measurements: Sequence[Measurement]) -> str:
    """Steps, sampler processes, and minutes by seed, of each row that was trained."""
    by_row: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if "steps" in measurement:
            by_row.setdefault(measurement["row"], []).append(measurement)
    lines = [
        [
            row,
            f"{runs[0]['steps']:,.0f}",
            ", ".join(sorted({f"{run['samplers']}" for run in runs})),
            ", ".join(f"{run['minutes']:.1f}" for run in runs),
        ]
        for row, runs in by_row.items()
    ]
    return table(["", "steps", "samplers", "minutes of each seed"], lines)


def shown(interval: Interval | None, column: str) -> str:
    """``80.0 [76.1, 83.5]``, or a dash."""
    if interval is None:
        return "-"
    digits = _COLUMNS[column][2] if column in _COLUMNS else 2
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def by_level(scores: Scores) -> list[list[float]]:
    """Level, share completed, and its interval, of each level of the test split."""
    return [[level, *_interval(mean, scores[tested(level)]["success"])] for level in _levels(scores)]


def _levels(scores: Scores) -> list[float]:
    return sorted(float(name.removeprefix(TESTED)) for name in scores if name.startswith(TESTED))


def targets(scores: Scores, level: float) -> list[str]:
    """The targets that transfer is averaged over, without the level."""
    names = [name.removesuffix(f" {level:g}") for name in transfer_cells(level) if name in scores]
    return [f"the {FACTBOOK}" if name == FACTBOOK else name for name in names if name != SOURCE]


def _interval(statistic: Statistic, *scores: np.ndarray) -> Interval:
    return two_level_interval(statistic, *scores, generator=np.random.default_rng(0))

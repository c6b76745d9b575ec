"""A comparison of groups of runs: as text, as Markdown, and as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from framework.report.numbers import duration, number
from framework.studies.comparison import Comparison, Estimate, Line, Result
from framework.toolkit.statistics import performance_profile

_BARS = "▁▂▃▄▅▆▇█"
_BINS = 24  # bars of a curve
_MARKS = 5  # of its points that are told as numbers


class Table(NamedTuple):
    """A part of the report."""

    title: str
    explanation: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[str] = ()  #: of each row, a curve as a line of bars, where there is no chart


def tables(comparison: Comparison) -> list[Table]:
    """The parts of the report: scores, differences from the first group, curves, profiles, training."""
    parts = (scores_table, differences_table, curve_table, profile_table, training_table)
    return [table for part in parts if (table := part(comparison)) is not None]


def text(comparison: Comparison) -> str:
    """The report for a terminal."""
    blocks = [f"{part.title}\n{_aligned(*_with_bars(part))}\n{part.explanation}" for part in tables(comparison)]
    return "\n\n".join([*blocks, *comparison.notes])


def markdown(comparison: Comparison, title: str) -> str:
    """The report as a Markdown page."""
    blocks = [f"# {title}, compared"]
    for part in tables(comparison):
        blocks += [f"## {part.title}", markdown_table(*_with_bars(part)), part.explanation]
    return "\n\n".join([*blocks, "\n".join(f"- {note}" for note in comparison.notes)]).rstrip() + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, all but the first to the right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if not index else ":") for index, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def shown(estimate: Estimate | None, written: Callable[[float], str] = number) -> str:
    """An estimate with its interval, such as ``480.2 [431.5, 500]``; a dash where there is none."""
    if estimate is None:
        return "-"
    value, *bounds = (None if part is None else written(part) for part in estimate)
    return f"{value} [{bounds[0]}, {bounds[1]}]" if None not in bounds else str(value)


def bars(values: Sequence[float] | np.ndarray, low: float, high: float) -> str:
    """Values from ``low`` to ``high`` as a line of bars, one character each."""
    share = np.clip((np.asarray(values, np.float64) - low) / ((high - low) or 1.0), 0, 1)
    return "".join(_BARS[index] for index in (share * (len(_BARS) - 1)).round().astype(int))


def values(comparison: Comparison) -> dict[str, Any]:
    """The report as plain values for JSON; what is not there is None."""
    return {
        "format": 1,
        "metric": comparison.metric,
        "curve": comparison.column,
        "threshold": comparison.threshold,
        "confidence": 0.95,
        "groups": [_result_values(result, comparison.threshold) for result in comparison.results],
        "differences": [
            {
                "group": difference.name,
                "against": comparison.results[0].name,
                "difference": difference.difference._asdict(),
                "probability_of_improvement": difference.probability._asdict(),
                "paired": difference.paired,
                "better_seeds": difference.better,
            }
            for difference in comparison.differences
        ],
        "notes": list(comparison.notes),
    }


def scores_table(comparison: Comparison) -> Table:
    """Mean and interquartile mean of the scores of each group."""
    header = ["group", "runs", f"mean {comparison.metric}", "IQM", "seeds"]
    rows = [
        [
            result.name,
            f"{len(result.outcomes)}",
            shown(result.mean),
            shown(result.iqm),
            ", ".join(map(str, result.seeds)),
        ]
        for result in comparison.results
    ]
    explanation = f"The score of a run is its last {comparison.metric}; in brackets 95 % intervals over runs."
    return Table("Scores", explanation, header, rows)


def training_table(comparison: Comparison) -> Table:
    """What training returned, and how long it took."""
    header = ["group", "training return", f"mean {comparison.column} over the run", "steps", "steps/s", "time of a run"]
    explanation = "Training return is the mean of the last 100 training episodes."
    if comparison.threshold is not None:
        header.insert(3, f"steps to {number(comparison.threshold)}")
        explanation += (
            f" Steps to {number(comparison.threshold)} of {comparison.column}: the median over runs, and how many got"
            " there."
        )
    rows = []
    for result in comparison.results:
        row = [result.name, shown(result.training_return), shown(result.mean_over_run), _steps(result)]
        row += [number(round(result.steps_per_second)), duration(result.seconds)]
        if comparison.threshold is not None:
            row.insert(3, _reached(result))
        rows.append(row)
    return Table("Training", explanation, header, rows)


def _steps(result: Result) -> str:
    counts = sorted({outcome.steps for outcome in result.outcomes})
    return number(counts[0]) if len(counts) == 1 else f"{number(counts[0])} to {number(counts[-1])}"


def _reached(result: Result) -> str:
    median = result.steps_to_threshold
    told = number(median) if np.isfinite(median) else "never"
    return f"{told} ({result.reached} of {len(result.outcomes)})"


def differences_table(comparison: Comparison) -> Table | None:
    """Each further group against the first; None where there is one group."""
    if not comparison.differences:
        return None
    first = comparison.results[0].name
    rows = [
        [
            difference.name,
            shown(difference.difference),
            shown(difference.probability, "{:.0%}".format),
            "-" if difference.better is None else f"{difference.better} of {len(comparison.results[0].outcomes)}",
        ]
        for difference in comparison.differences
    ]
    explanation = (
        f"Probability that a run is better than one of {first}, of all pairs of runs. Better seeds: with how many seeds"
        " the run is the better one."
    )
    if any(difference.paired for difference in comparison.differences):
        explanation += " Where groups have equal seeds, the interval of the difference is over seeds."
    header = ["group", "difference of means", "probability of improvement", "better seeds"]
    return Table(f"Against {first}", explanation, header, rows)


def profile_table(comparison: Comparison) -> Table | None:
    """The performance profile of each group, at some thresholds and as bars; None where all scores are equal."""
    thresholds = comparison.results[0].profile.x
    if len(thresholds) == 1:
        return None
    low, high = float(thresholds[0]), float(thresholds[-1])
    marks = np.unique(np.linspace(low, high, _MARKS))
    rows = [
        [
            result.name,
            *(f"{share:.0%}" for share in performance_profile(result.scores, marks)),
        ]
        for result in comparison.results
    ]
    between = np.linspace(low, high, _BINS)
    drawn = [bars(performance_profile(result.scores, between), 0, 1) for result in comparison.results]
    header = ["group", *(f"> {number(float(mark))}" for mark in marks)]
    explanation = f"The share of runs whose {comparison.metric} is above each value."
    return Table("Performance profile", explanation, header, rows, drawn)


def curve_table(comparison: Comparison) -> Table:
    """The sample efficiency of each group, at some numbers of steps and as bars."""
    lines = [result.curve for result in comparison.results]
    end = max(float(line.x[-1]) for line in lines)
    low = min(float(line.y.min()) for line in lines)
    high = max(float(line.y.max()) for line in lines)
    marks = np.linspace(end / _MARKS, end, _MARKS)
    rows = [[result.name, *(_at(result.curve, mark) for mark in marks)] for result in comparison.results]
    drawn = [bars(np.interp(np.linspace(0, line.x[-1], _BINS), line.x, line.y), low, high) for line in lines]
    header = ["steps", *(number(round(mark)) for mark in marks)]
    explanation = f"Sample efficiency: the interquartile mean of {comparison.column} over runs, after so many steps."
    return Table(f"IQM of {comparison.column} by steps", explanation, header, rows, drawn)


def _at(line: Line, steps: float) -> str:
    """A curve where it has a value, or about there: at the end it may lack an update."""
    last = float(line.x[-1])
    return number(float(np.interp(steps, line.x, line.y))) if steps <= last * 1.05 else "-"


def _with_bars(part: Table) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    if not part.bars:
        return part.header, part.rows
    return [*part.header, "from left to right"], [
        [*row, drawn] for row, drawn in zip(part.rows, part.bars, strict=True)
    ]


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in (header, *rows))


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]


def _result_values(result: Result, threshold: float | None) -> dict[str, Any]:
    steps = result.steps_to_threshold
    return {
        "name": result.name,
        "runs": [
            {
                "seed": outcome.run.seed,
                "directory": str(outcome.run.directory),
                "score": outcome.score,
                "training_return": outcome.training_return,
                "mean_over_run": outcome.mean_over_run,
                "steps_to_threshold": outcome.reached,
                "steps": outcome.steps,
                "seconds": outcome.seconds,
            }
            for outcome in result.outcomes
        ],
        "mean": result.mean._asdict(),
        "iqm": result.iqm._asdict(),
        "training_return": None if result.training_return is None else result.training_return._asdict(),
        "mean_over_run": result.mean_over_run._asdict(),
        "steps_to_threshold": None if threshold is None or not np.isfinite(steps) else steps,
        "reached": None if threshold is None else result.reached,
        "seconds": result.seconds,
        "steps_per_second": result.steps_per_second,
        "curve": _line_values(result.curve, "steps"),
        "profile": _line_values(result.profile, "thresholds"),
    }


def _line_values(line: Line, axis: str) -> dict[str, Any]:
    low, high = (None if bound is None else bound.tolist() for bound in (line.low, line.high))
    return {axis: line.x.tolist(), "values": line.y.tolist(), "low": low, "high": high}

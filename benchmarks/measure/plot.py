"""Rates and learning curves in pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framework.studies.band import aligned
from framework.studies.recorded_run import Series
from measure.results import Measurement, values


def draw(path: Path, measurements: Sequence[Measurement], title: str) -> None:
    """Bars of the rates (median, and each repeat as a point) beside the learning curves.

    Raises `SystemExit` where matplotlib is missing.
    """
    pyplot = _pyplot()
    figure, (rate_axes, curve_axes) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    rows = _rows(measurements)
    for n, row in enumerate(rows):
        rates = values(measurements, row, "rate")
        rate_axes.barh(n, np.median(rates), color=f"C{n}")
        rate_axes.plot(rates, [n] * len(rates), "k.", markersize=4)
    rate_axes.set_yticks(range(len(rows)), rows)
    rate_axes.invert_yaxis()
    rate_axes.set_xlabel("environment steps / s")
    _curves(curve_axes, measurements)
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def draw_curves(path: Path, measurements: Sequence[Measurement], title: str) -> None:
    """Learning curves alone. Raises `SystemExit` where matplotlib is missing."""
    figure, axes = _pyplot().subplots(figsize=(7, 3.6), layout="constrained")
    _curves(axes, measurements)
    axes.set_title(title, fontsize="medium")
    figure.savefig(path, dpi=100, metadata={"Software": None})


def draw_panels(path: Path, panels: Mapping[str, Sequence[Measurement]], columns: int = 3) -> None:
    """Learning curves of several benchmarks, side by side. Raises `SystemExit` where matplotlib is missing."""
    lines = -(-len(panels) // columns)
    figure, axes = _pyplot().subplots(
        lines, columns, figsize=(4.4 * columns, 3 * lines), layout="constrained", squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (name, measurements) in zip(axes.flat, panels.items(), strict=False):
        _curves(axis, measurements)
        axis.set_title(name, fontsize="medium")
    figure.savefig(path, dpi=80, metadata={"Software": None})


def draw_research(
    path: Path, measurements: Sequence[Measurement], by_level: Mapping[str, Sequence[Sequence[float]]]
) -> None:
    """Success while training, levels of the curriculum, and success by level with its intervals.

    ``measurements`` have curves ``success`` and ``level``; ``by_level`` has level, mean, low and high, by row. Raises
    `SystemExit` where matplotlib is missing.
    """
    figure, axes = _pyplot().subplots(1, 3, figsize=(14, 4), layout="constrained")
    for axis, field, label in zip(axes, ("success", "level"), ("success in training", "level played"), strict=False):
        _curves(axis, measurements, field, label, list(by_level))
    for n, (row, points) in enumerate(by_level.items()):
        levels, means, low, high = np.array(points).T
        axes[2].plot(levels, means, "o-", markersize=4, color=f"C{n}", label=row)
        axes[2].fill_between(levels, low, high, color=f"C{n}", alpha=0.15, linewidth=0)
    _finish(axes[2], "level, test split", "completed")
    for axis in axes:
        axis.set_ylim(-0.02, 1.02)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def _curves(
    axes: Any,
    measurements: Sequence[Measurement],
    field: str = "curve",
    label: str = "return, mean of 100 episodes",
    rows: Sequence[str] | None = None,
) -> None:
    """A curve of each row, by default its returns: the median, and the range from minimum to maximum."""
    for n, row in enumerate(rows or _rows(measurements)):
        curves = [Series(*np.array(curve).T) for curve in values(measurements, row, field) if curve]
        if not curves:
            continue
        steps, returns = aligned(sorted(curves, key=lambda curve: len(curve.x)))
        axes.plot(steps, np.median(returns, 0), color=f"C{n}", label=row)
        axes.fill_between(steps, returns.min(0), returns.max(0), color=f"C{n}", alpha=0.15, linewidth=0)
    axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1000:,.0f}k")
    _finish(axes, "environment steps", label)


def _finish(axes: Any, horizontal: str, vertical: str) -> None:
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(fontsize="small", frameon=False)


def _rows(measurements: Sequence[Measurement]) -> list[str]:
    return list(dict.fromkeys(measurement["row"] for measurement in measurements))


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install 'framework-rl[plots]'") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot

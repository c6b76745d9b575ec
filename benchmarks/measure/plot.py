"""Rates and learning curves in pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from measure.results import Measurement, values


def draw(path: Path, measurements: Sequence[Measurement], title: str) -> None:
    """Bars of the rates (median, and each repeat as a point) beside the learning curves.

    Raises `SystemExit` where matplotlib is missing.
    """
    pyplot = _pyplot()
    figure, (rates, curves) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    rows = _rows(measurements)
    for n, row in enumerate(rows):
        found = values(measurements, row, "rate")
        rates.barh(n, np.median(found), color=f"C{n}")
        rates.plot(found, [n] * len(found), "k.", markersize=4)
    rates.set_yticks(range(len(rows)), rows)
    rates.invert_yaxis()
    rates.set_xlabel("environment steps / s")
    _curves(curves, measurements)
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


def _curves(axes: Any, measurements: Sequence[Measurement]) -> None:
    """Returns of each row: the median, and the range from minimum to maximum."""
    for n, row in enumerate(_rows(measurements)):
        drawn = [np.array(curve) for curve in values(measurements, row, "curve") if curve]
        if not drawn:
            continue
        steps = min(drawn, key=len)[:, 0]
        returns = np.stack([np.interp(steps, curve[:, 0], curve[:, 1]) for curve in drawn])
        axes.plot(steps, np.median(returns, 0), color=f"C{n}", label=row)
        axes.fill_between(steps, returns.min(0), returns.max(0), color=f"C{n}", alpha=0.15, linewidth=0)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return, mean of 100 episodes")
    axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1000:,.0f}k")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if len(_rows(measurements)) > 1:
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

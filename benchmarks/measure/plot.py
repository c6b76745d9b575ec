"""Rates and learning curves of a throughput benchmark, side by side in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from measure.results import Measurement, values


def draw(path: Path, measurements: Sequence[Measurement], title: str) -> None:
    """Bars of the rates (median, and each repeat as a point) beside the returns (median, minimum to maximum).

    Raises `SystemExit` where matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install 'framework-rl[plots]'") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = list(dict.fromkeys(measurement["row"] for measurement in measurements))
    figure, (rates, curves) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for n, row in enumerate(rows):
        found = values(measurements, row, "rate")
        rates.barh(n, np.median(found), color=f"C{n}")
        rates.plot(found, [n] * len(found), "k.", markersize=4)
        drawn = [np.array(curve) for curve in values(measurements, row, "curve") if curve]
        if not drawn:
            continue
        steps = min(drawn, key=len)[:, 0]
        returns = np.stack([np.interp(steps, curve[:, 0], curve[:, 1]) for curve in drawn])
        curves.plot(steps, np.median(returns, 0), color=f"C{n}", label=row)
        curves.fill_between(steps, returns.min(0), returns.max(0), color=f"C{n}", alpha=0.15, linewidth=0)
    rates.set_yticks(range(len(rows)), rows)
    rates.invert_yaxis()
    rates.set_xlabel("environment steps / s")
    curves.set_xlabel("environment steps")
    curves.set_ylabel("return, mean of the last 100 episodes")
    curves.legend(fontsize="small")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)

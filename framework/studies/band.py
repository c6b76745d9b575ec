"""Several seeds as one curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from framework.studies.recorded_run import Series


class Band(NamedTuple):
    """The mean of some curves and their range, [points] float64 each."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def aligned(curves: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Points of the first curve where all have values [points], and the values there [curves, points].

    Between points curves are straight. Where no stretch is common to all, it is that of the first curve.
    """
    start, end = max(curve.x[0] for curve in curves), min(curve.x[-1] for curve in curves)
    grid = curves[0].x
    common = grid[(grid >= start) & (grid <= end)]
    grid = common if len(common) else grid
    return grid, np.stack([np.interp(grid, curve.x, curve.y) for curve in curves])


def band(curves: Sequence[Series]) -> Band:
    """One curve of several, where they are `aligned`."""
    grid, values = aligned(curves)
    return Band(grid, values.mean(0), values.min(0), values.max(0))

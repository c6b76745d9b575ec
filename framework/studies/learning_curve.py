"""What is read off a learning curve."""

from __future__ import annotations

import numpy as np

from framework.studies.recorded_run import Series


def mean_over(curve: Series) -> float:
    """The mean of a curve over its axis: the area under it, straight between points, by its length."""
    area = (np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2).sum()
    length = curve.x[-1] - curve.x[0]
    return float(area / length if length else curve.y.mean())


def first_reached(curve: Series, threshold: float) -> float | None:
    """Where a curve is first at ``threshold`` or above; None where it never is."""
    at = np.flatnonzero(curve.y >= threshold)
    return float(curve.x[at[0]]) if len(at) else None

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.studies.learning_curve import first_reached, mean_over
from framework.studies.recorded_run import Series


def series(x, y):
    return Series(np.array(x, float), np.array(y, float))


def test_mean_over_the_run_is_that_of_the_trapezoidal_rule():
    """Also where steps are not evenly spaced; a single point is its own mean."""
    assert mean_over(series([0, 10, 30], [1, 1, 4])) == pytest.approx((10 * 1 + 20 * 2.5) / 30)
    assert mean_over(series([5], [3])) == 3


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_mean_lies_between_the_extremes(values):
    """Whatever the curve."""
    mean = mean_over(series(np.arange(len(values)), values))
    assert min(values) - 1e-6 <= mean <= max(values) + 1e-6


def test_threshold_is_reached_when_the_curve_is_there():
    """Exactly there counts; where it never is there is no number."""
    curve = series([0, 10, 30, 40], [1, 3, 2, 4])
    assert first_reached(curve, 3.0) == 10
    assert first_reached(curve, 4.5) is None

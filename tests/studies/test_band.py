import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from framework.studies.band import aligned, band
from framework.studies.recorded_run import Series


def series(x, y):
    return Series(np.array(x, float), np.array(y, float))


def test_mean_and_range_where_all_have_values():
    """At the points of the first curve; between points curves are straight."""
    result = band([series([0, 10, 20], [0, 10, 20]), series([5, 15], [15, 25])])
    np.testing.assert_array_equal(result.x, [10])
    np.testing.assert_array_equal((result.low, result.mean, result.high), [[10], [15], [20]])


def test_curves_are_aligned_where_all_have_values():
    """The grid is that of the first; where no stretch is common to all, curves are constant beyond their ends."""
    grid, values = aligned([series([0, 10, 20, 30], [0, 1, 2, 3]), series([5, 25], [0, 20])])
    np.testing.assert_array_equal(grid, [10, 20])
    np.testing.assert_array_equal(values, [[1, 2], [5, 15]])
    grid, values = aligned([series([0, 10], [0, 1]), series([20, 30], [5, 6])])
    np.testing.assert_array_equal(grid, [0, 10])
    np.testing.assert_array_equal(values, [[0, 1], [5, 5]])


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=5))
def test_curves_at_the_same_points_are_averaged_there(values):
    """As numpy's mean, minimum and maximum over the curves."""
    result = band([series([1, 2, 3, 4], row) for row in values])
    np.testing.assert_allclose(result.mean, np.mean(values, axis=0))
    np.testing.assert_array_equal(result.low, np.min(values, axis=0))
    np.testing.assert_array_equal(result.high, np.max(values, axis=0))

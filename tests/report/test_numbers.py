from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.report.numbers import amount, compact, duration, number, tick_labels, ticks, widened

NUMBERS = st.floats(-1e100, 1e100)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (475.2, "475.2"),
        (12345.678, "12,346"),
        (0.0123456, "0.01235"),
        (1.23456e-7, "1.235e-07"),
        (-3.0, "-3"),
        (1.5e300, "1.500e+300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers_have_about_four_digits(value, text):
    """Whole numbers have all of theirs."""
    assert number(value) == text


def test_durations_and_amounts():
    """Seconds as on a clock, bytes with their unit."""
    assert [duration(seconds) for seconds in (0.4, 42, 61, 3723)] == ["0:00", "0:42", "1:01", "1:02:03"]
    assert [amount(size) for size in (12, 1500, 2_340_000, 5e9)] == ["12 B", "1.5 kB", "2.34 MB", "5 GB"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 99_500, ["0", "20k", "40k", "60k", "80k"]),
        (-20, 520, ["0", "100", "200", "300", "400", "500"]),
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 9e-6, ["0", "2e-6", "4e-6", "6e-6", "8e-6"]),
        (0, 2.2e6, ["0", "0.5M", "1.0M", "1.5M", "2.0M"]),
        (0, 3e7, ["0", "5M", "10M", "15M", "20M", "25M", "30M"]),
        (-1.5, -1.1, ["-1.5", "-1.4", "-1.3", "-1.2", "-1.1"]),
    ],
)
def test_axes_are_marked_at_round_numbers(low, high, labels):
    """Each with as many digits as it takes."""
    assert tick_labels(ticks(low, high)) == labels


@given(NUMBERS, NUMBERS)
def test_ticks_are_inside_apart_and_told_apart(one, other):
    """For any range: between two and ten ticks inside of it, evenly apart, with labels that differ and are short."""
    low, high = widened(*sorted((one, other)))
    values = ticks(low, high)
    slack = (high - low) * 1e-6 + 1e-300
    assert 2 <= len(values) <= 10
    assert low - slack <= values[0] < values[-1] <= high + slack
    steps = [after - before for before, after in pairwise(values)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-5)
    labels = tick_labels(values)
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 15


@given(NUMBERS)
def test_constants_have_a_range(value):
    """A range of one point is made one around it."""
    low, high = widened(value, value)
    assert low < value < high


def test_numbers_in_few_letters() -> None:
    """Three digits at least, and a unit from five on."""
    values = (0, 0.5, 500, 8192, 40_192, 62_500, 100_000, 1_500_000, 2e9)
    assert [compact(value) for value in values] == [
        "0",
        "0.5",
        "500",
        "8192",
        "40.2k",
        "62.5k",
        "100k",
        "1.5M",
        "2G",
    ]

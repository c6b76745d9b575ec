"""Schedules of learning rates and coefficients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from framework.schema import OptionError, option, structure
from framework.toolkit.schedules import Schedule, check_schedule, scheduled


@frozen
class Config:
    """A config class with a schedule."""

    rate_schedule: Schedule = option("constant", help="A schedule.")

    def __attrs_post_init__(self) -> None:
        check_schedule(self.rate_schedule, "rate_schedule")


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 1.0])
def test_named_schedules_are_what_they_say(progress: float) -> None:
    """Constant, a line to 0, and half a cosine to 0."""
    assert scheduled(2.0, "constant", progress) == 2.0
    assert scheduled(2.0, "linear", progress) == 2.0 * (1.0 - progress)
    assert scheduled(2.0, "cosine", progress) == pytest.approx(1.0 + math.cos(math.pi * progress))


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=6, unique=True),
    st.lists(st.floats(0, 10), min_size=6, max_size=6),
    st.floats(0, 1),
)
def test_points_are_interpolated(times: list[int], factors: list[float], progress: float) -> None:
    """As `numpy.interp` does, with the first and the last point going on beyond their ends."""
    points = tuple((time / 100, factor) for time, factor in zip(sorted(times), factors, strict=False))
    assert scheduled(3.0, points, progress) == pytest.approx(3.0 * np.interp(progress, *zip(*points, strict=True)))


def test_a_pipeline_may_name_a_schedule_or_give_points() -> None:
    """Integers become floats, arrays tuples."""
    assert structure(Config, {"rate_schedule": "cosine"}) == (Config(rate_schedule="cosine"), [])
    config, problems = structure(Config, {"rate_schedule": [[0, 1], [0.5, 0.1]]})
    assert (config.rate_schedule, problems) == (((0.0, 1.0), (0.5, 0.1)), [])


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("linaer", "linear"),
        ([[0.0, 1.0], [0.0, 2.0]], "increasing progress"),
        ([[0.5, 1.0], [0.2, 2.0]], "increasing progress"),
        ([[0.0, 1.0], [1.5, 2.0]], "between 0 and 1"),
        ([], "must be points"),
        ([[0.0, -1.0]], "no negative factor"),
        ([[0.0, 1.0, 2.0]], "rate_schedule"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule: object, message: str) -> None:
    """With the option's name, and what it must be."""
    config, problems = structure(Config, {"rate_schedule": schedule})
    assert config is None
    assert message in str(problems[0])
    with pytest.raises(OptionError):
        Config(rate_schedule=schedule)

"""What is checked before anything is learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import trajectories
from attrs import evolve

from framework.errors import RunError
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.learn.checks import bad_metrics, bad_value, numbers_by_name

STEPS, ENVIRONMENTS = 6, 3


def test_numbers_of_any_kind_become_floats() -> None:
    """Those of NumPy too, which JSON does not know."""
    metrics = numbers_by_name("it", {"a": np.float32(0.5), "b": 3, "c": True, "d": float("nan")})
    assert [type(value) for value in metrics.values()] == [float] * 4
    assert list(metrics.values())[:3] == [0.5, 3.0, 1.0]


@pytest.mark.parametrize(
    ("metrics", "description"),
    [
        (None, "None, not a dict of metrics"),
        ([1.0], r"\[1.0\], not a dict of metrics"),
        ({"a": torch.ones(())}, r"'a': tensor\(1.\), not a name and a number"),
        ({"a": None}, "'a': None, not a name and a number"),
        ({1: 2.0}, "1: 2.0, not a name and a number"),
        ({"a": "x" * 1000}, "'a': 'x{59}\\.\\.\\., not a name and a number"),
    ],
)
def test_anything_else_is_named(metrics: Any, description: str) -> None:
    """By whom it was given, and what it is, shortly."""
    with pytest.raises(RunError, match=f"the algorithm's update\\(\\) gave {description}"):
        numbers_by_name("the algorithm's update()", metrics)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_metrics_that_are_not_finite_are_named(value: float) -> None:
    """Each of them with its value; finite ones are not."""
    assert bad_metrics({"loss": value, "entropy": 1.0, "kl": value}) == f"loss is {value}, kl is {value}"
    assert bad_metrics({"entropy": 1.0}) is None


def make(seed: int = 0, **options: Any) -> Trajectory:
    """A trajectory of `STEPS` steps and `ENVIRONMENTS` environments."""
    return trajectories.make(seed, **{"steps": STEPS, "environments": ENVIRONMENTS} | options)


def with_array(trajectory: Trajectory, name: str, array: np.ndarray) -> Trajectory:
    """The same trajectory with one other array."""
    return evolve(trajectory, arrays=trajectory.arrays | {name: array})


def test_good_values_pass() -> None:
    """Nothing is found in finite data."""
    assert bad_value(make(), range(ENVIRONMENTS)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("name", "place", "step"),
    [
        ("observations/position", (4, 1, 2), "step 4"),
        ("rewards", (3, 1), "step 3"),
        ("extras/value", (6, 1), "step 6"),
        ("memory/h", (1, 2), "the policy's memory"),
        ("memory_after/h", (1, 0), "the policy's memory"),
    ],
)
def test_bad_values_are_named(value: float, name: str, place: tuple[int, ...], step: str) -> None:
    """NaN and infinity are reported with their array, environment (as numbered in the run), step and trajectory."""
    trajectory = make(shard=2, number=17, version=16)
    array = trajectory.arrays[name].copy()
    array[place] = value
    problem = bad_value(with_array(trajectory, name, array), range(6, 9))
    assert problem == (f"{value} in {name} of environment 7, {step} of trajectory 17 of shard 2 (policy version 16)")


@pytest.mark.parametrize("name", ["final_observations/position", "extras/final_value"])
def test_bad_last_observations_are_named(name: str) -> None:
    """What belongs to the end of an episode is found by the step of that end, not by its row."""
    first = np.zeros((STEPS + 1, ENVIRONMENTS))
    first[2, 0] = first[5, 2] = 1
    trajectory = make(first=first)
    array = trajectory.arrays[name].copy()
    array[1] = math.nan
    problem = bad_value(with_array(trajectory, name, array), range(ENVIRONMENTS))
    assert problem is not None
    assert problem.startswith(
        f"nan in {name} of environment 2, the last observation of the episode that ended at step 4 "
    )

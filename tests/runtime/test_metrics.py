"""Metrics of components: names and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from framework.errors import RunError
from framework.runtime.metrics import numbers_by_name


def test_numbers_of_any_kind_become_floats() -> None:
    """Those of NumPy too, which JSON does not know."""
    metrics = numbers_by_name("it", {"a": np.float32(0.5), "b": 3, "c": True, "d": float("nan")})
    assert [type(value) for value in metrics.values()] == [float] * 4
    assert list(metrics.values())[:3] == [0.5, 3.0, 1.0]


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (None, "None, not a dict of metrics"),
        ([1.0], r"\[1.0\], not a dict of metrics"),
        ({"a": torch.ones(())}, r"'a': tensor\(1.\), not a name and a number"),
        ({"a": None}, "'a': None, not a name and a number"),
        ({1: 2.0}, "1: 2.0, not a name and a number"),
        ({"a": "x" * 1000}, "'a': 'x{59}\\.\\.\\., not a name and a number"),
    ],
)
def test_anything_else_is_named(metrics: Any, told: str) -> None:
    """By whom it was given, and what it is, shortly."""
    with pytest.raises(RunError, match=f"the algorithm's update\\(\\) gave {told}"):
        numbers_by_name("the algorithm's update()", metrics)

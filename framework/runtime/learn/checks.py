"""What is checked of data and metrics before anything is learned from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from framework.errors import RunError
from framework.runtime.data.trajectory import PER_EPISODE, Trajectory


def numbers_by_name(whose: str, metrics: Any) -> dict[str, float]:
    """The metrics that a component gave; RunError where they are something else."""
    if not isinstance(metrics, Mapping):
        raise RunError(f"{whose} gave {_shown(metrics)}, not a dict of metrics")
    for name, value in metrics.items():
        if not isinstance(name, str) or not isinstance(value, Real):
            raise RunError(f"{whose} gave {name!r}: {_shown(value)}, not a name and a number")
    return {name: float(value) for name, value in metrics.items()}


def bad_metrics(metrics: Mapping[str, float]) -> str | None:
    """Which metrics are NaN or infinite, in words; None where none is."""
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    return ", ".join(bad) or None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def bad_value(trajectory: Trajectory, environments: Sequence[int]) -> str | None:
    """Where a trajectory holds NaN or infinity, in words; None where it does not.

    Infinity counts as bad in observations too: no network can learn from it.
    """
    for name, array in trajectory.arrays.items():
        if array.dtype.kind != "f" or name.startswith(("episodes/", "snapshots/")) or np.isfinite(array).all():
            continue
        place = np.argwhere(~np.isfinite(array))[0]
        value = array[tuple(place)]
        if name.startswith(PER_EPISODE):
            step, column = divmod(int(trajectory.arrays["final_index"][place[0]]), len(environments))
            where = f"the last observation of the episode that ended at step {step}"
        elif name.startswith(("memory/", "memory_after/")):
            column, where = int(place[0]), "the policy's memory"
        else:
            column, where = int(place[1]), f"step {int(place[0])}"
        return (
            f"{value} in {name} of environment {environments[column]}, {where} of trajectory {trajectory.number} "
            f"of shard {trajectory.shard} (policy version {trajectory.version})"
        )
    return None

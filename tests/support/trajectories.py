"""Made-up trajectories for the tests of the runtime: random values, consistent with one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.runtime.data.trajectory import Trajectory

Arrays = dict[str, np.ndarray]


def make(
    seed: int = 0,
    *,
    shard: int = 0,
    number: int = 0,
    version: int = 0,
    steps: int = 4,
    environments: int = 2,
    **fields: Any,
) -> Trajectory:
    """A trajectory of random values; ``fields`` may set ``first`` [T + 1, N] and ``episode`` [N]."""
    rng = np.random.default_rng(seed)
    first = np.asarray(fields.get("first", rng.random((steps + 1, environments)) < 0.3), bool)
    steps, environments = len(first) - 1, first.shape[1]
    ended = first[1:]
    terminated = ended & (rng.random(ended.shape) < 0.5)
    final_index = np.flatnonzero(ended)
    count = len(final_index)
    step, column = np.divmod(final_index, environments)
    shapes = {
        "observations/position": (steps + 1, environments, 3),
        "final_observations/position": (count, 3),
        "extras/value": (steps + 1, environments),
        "extras/final_value": (count,),
        "rewards": (steps, environments),
        "memory/h": (environments, 5),
        "memory_after/h": (environments, 5),
    }
    arrays: Arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {
        "observations/camera/left": rng.integers(0, 256, (steps + 1, environments, 2, 2), np.uint8),
        "final_observations/camera/left": rng.integers(0, 256, (count, 2, 2), np.uint8),
        "actions": rng.integers(0, 9, (steps, environments), np.int64),
        "terminated": terminated,
        "truncated": ended & ~terminated,
        "valid": np.ones((steps, environments), bool),
        "first": first,
        "action_mask": rng.random((steps + 1, environments, 9)) < 0.9,
        "final_index": final_index,
        "episode": np.asarray(fields.get("episode", ended.sum(axis=0)), np.int64),
        "episodes/step": step.astype(np.int32),
        "episodes/environment": (shard * environments + column).astype(np.int32),
        "episodes/number": rng.integers(0, 99, count, np.int64),
        "episodes/return": rng.standard_normal(count),
        "episodes/length": rng.integers(1, 99, count, np.int64),
        "episodes/success": rng.integers(-1, 2, count, np.int8),
        "episodes/error": np.zeros(count, np.int8),
    }
    return Trajectory(shard, number, version, arrays)

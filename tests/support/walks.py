"""Batches for bonuses: of observations that a test gives, and of random walks on a ring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from framework.interfaces import Batch

Tensor = torch.Tensor


def batch_of(observations: Tensor | dict[str, Tensor], actions: Tensor, **fields: Any) -> Batch:
    """A batch in which no episode ends, unless ``fields`` say so; ``observations`` [T + 1, N, ...]."""
    shape = actions.shape[:2]
    parts = observations if isinstance(observations, dict) else {"observation": observations}
    none = torch.zeros(shape, dtype=torch.bool)
    return Batch(
        **{
            "observations": parts,
            "actions": actions,
            "rewards": torch.zeros(shape),
            "terminated": none,
            "truncated": none.clone(),
            "first": torch.zeros(shape[0] + 1, shape[1], dtype=torch.bool),
            "valid": ~none,
            "final_index": torch.zeros(0, dtype=torch.int64),
            "final_observations": {name: x[0, :0] for name, x in parts.items()},
            **fields,
        }
    )


def ring_walk(
    rng: np.random.Generator,
    size: int,
    *,
    steps: int = 32,
    environments: int = 8,
    slip: float = 0.0,
    show: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Batch:
    """Random walks on a ring of places: action 0 stays, 1 goes on, 2 goes back; with chance ``slip``, another of these.

    ``show`` makes observations [T + 1, N, ...] of places [T + 1, N]; by default they are one-hot.
    """
    actions = rng.integers(3, size=(steps, environments))
    moves = np.where(rng.random(actions.shape) < slip, rng.integers(3, size=actions.shape), actions)
    start = rng.integers(size, size=(1, environments))
    places = np.concatenate((start, start + np.cumsum(np.array([0, 1, -1])[moves], 0))) % size
    observations = np.eye(size, dtype=np.float32)[places] if show is None else show(places)
    return batch_of(torch.from_numpy(observations), torch.from_numpy(actions))

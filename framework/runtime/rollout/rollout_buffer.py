"""The arrays of one trajectory while it is being collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from framework.interfaces import Batch, Tensors
from framework.runtime.rollout.episode_stats import FinishedEpisodes
from framework.toolkit.spaces import array_spec

if TYPE_CHECKING:
    from framework.runtime.rollout.vector import Vector


class RolloutBuffer:
    """``length`` steps of a vector of N environments.

    Observations, masks and ``first`` have a row more than the steps: what the next trajectory starts with.
    """

    def __init__(self, length: int, vector: Vector, first: np.ndarray):
        count = vector.count
        self._observations = {
            name: np.empty((length + 1, count, *shape), dtype)
            for name, (dtype, shape) in ((name, array_spec(leaf)) for name, leaf in vector.observation_space.items())
        }
        self._masks = None if vector.action_mask is None else np.empty((length + 1, *vector.action_mask.shape), bool)
        self.rewards = np.empty((length, count), np.float32)
        self._ended = np.empty((length, 2, count), bool)
        self._valid = np.ones((length, count), bool)
        self.first = np.zeros((length + 1, count), bool)
        self.first[0] = first
        self._actions: list[torch.Tensor] = []
        self._extras: list[Tensors] = []
        # Views for the policy, which share the memory of the arrays.
        self._observation_rows = [
            dict(zip(self._observations, rows, strict=True))
            for rows in zip(*(torch.from_numpy(array).unbind(0) for array in self._observations.values()), strict=True)
        ]
        self._first_rows = torch.from_numpy(self.first).unbind(0)
        self._mask_rows = None if self._masks is None else torch.from_numpy(self._masks).unbind(0)

    def observe(self, t: int, vector: Vector) -> tuple[Tensors, torch.Tensor, torch.Tensor | None]:
        """Store what the vector shows before step ``t``: observations, first [N], and action mask [N, M] or None."""
        for name, array in vector.observations.items():
            self._observations[name][t] = array
        mask = None
        if self._masks is not None and self._mask_rows is not None:
            self._masks[t] = vector.action_mask
            mask = self._mask_rows[t]
        return self._observation_rows[t], self._first_rows[t], mask

    def record(self, t: int, actions: torch.Tensor, extras: Tensors, vector: Vector) -> None:
        """Store the actions of step ``t``, what the policy says of them, and what they led to."""
        self._actions.append(actions)
        self._extras.append(extras)
        self.rewards[t] = vector.rewards
        self._ended[t] = vector.ended
        if vector.self_resetting:
            self._valid[t] = vector.valid

    def batch(self, memory: Tensors, finished: FinishedEpisodes) -> Batch:
        """All of it as a batch; ``memory`` is the policy's before the first step."""
        return Batch(
            observations={name: torch.from_numpy(array) for name, array in self._observations.items()},
            actions=torch.stack(self._actions),
            rewards=torch.from_numpy(self.rewards),
            terminated=torch.from_numpy(self._ended[:, 0]),
            truncated=torch.from_numpy(self._ended[:, 1]),
            first=torch.from_numpy(self.first),
            valid=torch.from_numpy(self._valid),
            final_index=torch.from_numpy(finished.index()),
            final_observations={
                name: torch.from_numpy(finished.observations(name, array[0, 0]))
                for name, array in self._observations.items()
            },
            action_mask=None if self._masks is None else torch.from_numpy(self._masks),
            extras={name: torch.stack([extras[name] for extras in self._extras]) for name in self._extras[0]},
            memory=memory,
        )


def batch_arrays(batch: Batch) -> dict[str, np.ndarray]:
    """A batch as flat named arrays, C-contiguous: the entries of its dictionaries are named ``field/entry``."""
    tensors = {
        name: getattr(batch, name)
        for name in ("actions", "rewards", "terminated", "truncated", "first", "valid", "final_index")
    }
    if batch.action_mask is not None:
        tensors["action_mask"] = batch.action_mask
    for field in ("observations", "final_observations", "extras", "memory"):
        tensors |= {f"{field}/{entry}": tensor for entry, tensor in getattr(batch, field).items()}
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in tensors.items()}

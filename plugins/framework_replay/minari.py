"""A dataset, and beside it what is collected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from attrs import evolve

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Tensors, Transitions
from framework_replay.config import MinariConfig
from framework_replay.dataset import Dataset
from framework_replay.storage import Storage
from framework_replay.uniform import draw


class Minari:
    """All steps of a Minari dataset, for good, and the last ``capacity`` that are collected, each equally likely.

    Checkpoints hold what was collected, and a digest of the dataset, which is read again. Extras are not kept, as
    datasets have none.
    """

    def __init__(self, config: MinariConfig, context: Context):
        dataset = Dataset(config.dataset, context)
        single = evolve(context, num_envs=1, rollout_length=1, policy_lag=0)
        self._name = config.dataset
        self._stored = Storage(dataset.steps, config.n_step, config.share_frames, single)
        digest = hashlib.blake2b(digest_size=16)
        for episode in dataset.episodes():
            self._stored.add(episode)
            for tensor in (*episode.observations.values(), episode.actions, episode.rewards, episode.terminated):
                digest.update(tensor.numpy().data)
        self._digest = digest.hexdigest()
        self._collected = Storage(config.capacity, config.n_step, config.share_frames, context)

    def __len__(self) -> int:
        return self._stored.size + self._collected.size

    def add(self, batch: Batch) -> np.ndarray:
        """See `framework.interfaces.Replay`."""
        ids = self._collected.add(evolve(batch, extras={}))
        return np.where(ids < 0, -1, ids + self._stored.size)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Transitions, np.ndarray, np.ndarray]:
        """``count`` transitions drawn with replacement, of weight 1: those of the dataset first."""
        stored = int(rng.binomial(count, self._stored.size / len(self)))
        ids = [
            draw(storage, part, rng)
            for storage, part in ((self._stored, stored), (self._collected, count - stored))
            if part
        ]
        storages = [self._stored] * bool(stored) + [self._collected] * (stored < count)
        parts = [storage.transitions(part) for storage, part in zip(storages, ids, strict=True)]
        offsets = [0 if storage is self._stored else self._stored.size for storage in storages]
        numbers = np.concatenate([part + offset for part, offset in zip(ids, offsets, strict=True)])
        return _joined(parts), numbers, np.ones(count, np.float32)

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Nothing: all steps stay equally likely."""

    def state_dict(self) -> dict[str, Any]:
        """What was collected, and which dataset it was added to."""
        return {"dataset": self._digest, "collected": self._collected.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit. Raises `FrameworkError` where the dataset is another one now."""
        if state["dataset"] != self._digest:
            raise FrameworkError(f"the dataset {self._name!r} is no longer the one that this run began with")
        self._collected.load_state_dict(state["collected"])


def _joined(parts: list[Transitions]) -> Transitions:
    """Transitions one after the other; where only some tell what is legal, all is elsewhere."""
    if len(parts) == 1:
        return parts[0]
    return Transitions(
        observations=_joined_tensors([part.observations for part in parts]),
        actions=torch.cat([part.actions for part in parts]),
        rewards=torch.cat([part.rewards for part in parts]),
        steps=torch.cat([part.steps for part in parts]),
        terminated=torch.cat([part.terminated for part in parts]),
        next_observations=_joined_tensors([part.next_observations for part in parts]),
        action_mask=_joined_masks([part.action_mask for part in parts], parts),
        next_action_mask=_joined_masks([part.next_action_mask for part in parts], parts),
    )


def _joined_tensors(parts: list[Tensors]) -> Tensors:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _joined_masks(masks: list[torch.Tensor | None], parts: list[Transitions]) -> torch.Tensor | None:
    told = next((mask for mask in masks if mask is not None), None)
    if told is None:
        return None
    rows = [
        told.new_ones(len(part.rewards), told.shape[1]) if mask is None else mask
        for mask, part in zip(masks, parts, strict=True)
    ]
    return torch.cat(rows)

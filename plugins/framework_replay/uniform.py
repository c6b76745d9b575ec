"""Uniform experience replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Transitions
from framework_replay.config import UniformConfig
from framework_replay.sequence_buffers import UniformSequences
from framework_replay.storage import Storage


class Uniform:
    """Uniform experience replay of the last ``capacity`` steps (Lin, "Self-improving reactive agents", 1992)."""

    def __init__(self, config: UniformConfig, context: Context):
        self._config, self._context = config, context
        self._storage = Storage(config.capacity, config.n_step, config.share_frames, context)

    def __len__(self) -> int:
        return self._storage.size

    def add(self, batch: Batch) -> np.ndarray:
        """See `framework.interfaces.Replay`."""
        return self._storage.add(batch)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Transitions, np.ndarray, np.ndarray]:
        """``count`` transitions drawn with replacement, of weight 1. Raises `FrameworkError` where there are none."""
        ids = draw(self._storage, count, rng)
        return self._storage.transitions(ids), ids, np.ones(count, np.float32)

    def sequences(self, length: int) -> UniformSequences:
        """See `framework.interfaces.SequenceReplay`."""
        return UniformSequences(self._config, self._context, length)

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Nothing: all steps stay equally likely."""

    def state_dict(self) -> dict[str, Any]:
        """All that is stored."""
        return self._storage.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self._storage.load_state_dict(state)


def draw(storage: Storage, count: int, rng: np.random.Generator) -> np.ndarray:
    """Ids [count] of steps, drawn with replacement. Raises `FrameworkError` where there are none."""
    if not storage.size:
        raise FrameworkError("there is nothing in the replay buffer to sample: add a batch first")
    ids = rng.integers(storage.first_id, storage.next_id, count)
    if storage.size < storage.next_id - storage.first_id:
        while len(invalid := np.flatnonzero(~storage.valid(ids))):
            ids[invalid] = rng.integers(storage.first_id, storage.next_id, len(invalid))
    return ids

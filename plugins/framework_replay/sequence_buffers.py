"""Uniform and prioritized replay of sequences, for policies with memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Sequences
from framework_replay.config import PrioritizedConfig, UniformConfig
from framework_replay.loops import power, stratify, to_ids, weights_of
from framework_replay.priorities import checked
from framework_replay.sequences import SequenceStorage
from framework_replay.sum_tree import SumTree


class UniformSequences:
    """Every sequence is equally likely."""

    def __init__(self, config: UniformConfig, context: Context, length: int):
        self._storage = SequenceStorage(config, context, length)

    def __len__(self) -> int:
        return len(self._storage)

    def add(self, batch: Batch) -> None:
        """See `framework.interfaces.SequenceBuffer`."""
        self._storage.add(batch)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Sequences, np.ndarray, np.ndarray]:
        """``count`` sequences drawn with replacement, of weight 1. Raises `FrameworkError` where there are none."""
        require_some(self._storage)
        ids = rng.integers(self._storage.first_id, self._storage.next_id, count)
        return self._storage.sequences(ids), ids, np.ones(count, np.float32)

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Nothing: all sequences stay equally likely."""

    def state_dict(self) -> dict[str, Any]:
        """All that is stored."""
        return self._storage.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self._storage.load_state_dict(state)


class PrioritizedSequences:
    """Proportional prioritization of whole sequences, otherwise as `framework_replay.prioritized.Prioritized`."""

    def __init__(self, config: PrioritizedConfig, context: Context, length: int):
        self._config = config
        self._storage = SequenceStorage(config, context, length)
        self._tree = SumTree(self._storage.most)
        self._largest, self._beta = 1.0, config.beta

    def __len__(self) -> int:
        return len(self._storage)

    def add(self, batch: Batch) -> None:
        """See `framework.interfaces.SequenceBuffer`."""
        storage, config = self._storage, self._config
        old = np.arange(storage.first_id, storage.next_id)
        storage.add(batch)
        self._beta = config.beta + (config.beta_end - config.beta) * batch.progress
        evicted, new = old[old < storage.first_id], np.arange(old[-1] + 1 if len(old) else 0, storage.next_id)
        self._set(evicted, np.zeros(len(evicted)))
        self._set(new, np.full(len(new), self._leaf(self._largest)))

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Sequences, np.ndarray, np.ndarray]:
        """``count`` sequences drawn with replacement. Raises `FrameworkError` where there are none."""
        require_some(self._storage)
        shares = rng.random(count)
        stratify(shares)
        ids, leaves = self._tree.find(shares)
        to_ids(ids, self._storage.next_id, self._tree.size)
        return self._storage.sequences(ids), ids, weights_of(leaves, self._beta)

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Set priorities, see `framework_replay.prioritized.Prioritized.update_priorities`."""
        numbers, values, _, _ = checked(ids, priorities, self._storage.next_id)
        kept = numbers >= self._storage.first_id
        self._largest = max(self._largest, float(values[kept].max(initial=0.0)))
        self._set(numbers[kept], self._leaf(values[kept]))

    def state_dict(self) -> dict[str, Any]:
        """All that is stored, and the priorities."""
        return {
            "storage": self._storage.state_dict(),
            "tree": self._tree.state_dict(),
            "largest": self._largest,
            "beta": self._beta,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self._storage.load_state_dict(state["storage"])
        self._tree.load_state_dict(state["tree"])
        self._largest, self._beta = state["largest"], state["beta"]

    def _set(self, ids: np.ndarray, leaves: np.ndarray) -> None:
        if len(ids):
            self._tree.set(ids % self._tree.size, leaves)

    def _leaf(self, priority: Any) -> Any:
        return power(priority, self._config.epsilon, self._config.alpha)


def require_some(storage: SequenceStorage) -> None:
    """Raise `FrameworkError` where there is no sequence to sample."""
    if not len(storage):
        raise FrameworkError(
            f"no sequence of {storage.length} steps is stored to its end yet: add as many steps of each environment"
        )

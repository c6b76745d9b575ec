"""Prioritized experience replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Transitions
from framework_replay.config import PrioritizedConfig
from framework_replay.loops import power, stratify, to_ids, weights_of
from framework_replay.priorities import checked
from framework_replay.sequence_buffers import PrioritizedSequences
from framework_replay.storage import Storage
from framework_replay.sum_tree import SumTree


class Prioritized:
    """Prioritized experience replay, proportional variant (Schaul et al., 2016, arXiv:1511.05952).

    A step of priority x is drawn with probability P in proportion to (x + epsilon)^alpha; its importance weight is
    (N P)^-beta, divided by the largest of the sample. Sampling is stratified: one step is drawn from each of B equal
    parts of the total priority (appendix B.2.1). New steps get the largest priority so far, initially 1.
    """

    def __init__(self, config: PrioritizedConfig, context: Context):
        self._config, self._context = config, context
        self._storage = Storage(config.capacity, config.n_step, config.share_frames, context)
        self._tree = SumTree(self._storage.places)
        self._largest, self._beta = 1.0, config.beta

    def __len__(self) -> int:
        return self._storage.size

    def add(self, batch: Batch) -> np.ndarray:
        """See `framework.interfaces.Replay`."""
        storage, config = self._storage, self._config
        start = storage.next_id % storage.places
        ids = storage.add(batch)
        self._beta = config.beta + (config.beta_end - config.beta) * batch.progress
        # The row behind the new ones belongs to no step any more: its place waits for the next.
        leaves = np.append(np.where(ids.ravel() >= 0, self._leaf(self._largest), 0.0), np.zeros(storage.columns))
        room = storage.places - start
        self._tree.fill(start, leaves[:room])
        if len(leaves) > room:
            self._tree.fill(0, leaves[room:])
        return ids

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Transitions, np.ndarray, np.ndarray]:
        """``count`` transitions drawn with replacement. Raises `FrameworkError` where there are none."""
        if not self._storage.size:
            raise FrameworkError("there is nothing in the replay buffer to sample: add a batch first")
        shares = rng.random(count)
        stratify(shares)
        ids, leaves = self._tree.find(shares)
        to_ids(ids, self._storage.next_id, self._storage.places)
        return self._storage.transitions(ids), ids, weights_of(leaves, self._beta)

    def sequences(self, length: int) -> PrioritizedSequences:
        """See `framework.interfaces.SequenceReplay`."""
        return PrioritizedSequences(self._config, self._context, length)

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Set priorities, such as absolute TD errors; the last one of an id counts, evicted ids are ignored.

        Raises `FrameworkError` where a priority is negative, NaN or infinite, or an id was never given.
        """
        storage = self._storage
        numbers, values, largest, lowest = checked(ids, priorities, storage.next_id)
        some_invalid = storage.size < storage.next_id - storage.first_id
        if some_invalid or lowest < storage.first_id:
            kept = (numbers >= storage.first_id) & storage.valid(numbers)
            numbers, values = numbers[kept], values[kept]
            largest = float(values.max(initial=0.0))
        self._largest = max(self._largest, largest)
        self._tree.set(numbers % storage.places, self._leaf(values))

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

    def _leaf(self, priority: Any) -> Any:
        return power(priority, self._config.epsilon, self._config.alpha)

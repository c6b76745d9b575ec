"""Sequences of steps in the ring buffer, and the memory that each begins with.

A sequence begins with each trajectory of each environment. Trajectories are counted from 0 for ever, and the sequence
that begins with number ``k`` in column ``n`` has the id ``k * columns + n``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Sequences
from framework_replay.config import UniformConfig
from framework_replay.queue import Queue
from framework_replay.storage import Storage, to_array

_MEMORY = "memory/"


class SequenceStorage:
    """The steps of `Storage`, read as sequences of ``length`` steps.

    Raises `FrameworkError` where the capacity holds no whole sequence, or where nothing goes on from trajectory to
    trajectory (``policy_lag = "free"``) and a sequence would be longer than one.
    """

    def __init__(self, config: UniformConfig, context: Context, length: int):
        self._steps = Storage(config.capacity, config.n_step, config.share_frames, context)
        self.columns, self.length = context.num_envs, length
        self._trajectory = context.rollout_length
        if context.policy_lag == "free" and length > self._trajectory:
            raise FrameworkError(
                f'with policy_lag = "free" a sequence ends with its trajectory: {length} steps need a rollout_length '
                f"of as many, not {self._trajectory}"
            )
        needed = -(-length // self._trajectory) * self._trajectory * self.columns
        if self._steps.rows * self.columns < needed:
            raise FrameworkError(
                f"a replay buffer of {config.capacity} steps does not hold a sequence of {length} steps of each of "
                f"{self.columns} environments: raise its capacity to {needed} or more"
            )
        #: How many sequences there may be at once.
        self.most = (self._steps.rows // self._trajectory + 1) * self.columns
        self._starts = Queue()  #: of each sequence: ``first``, and the policy's memory

    def __len__(self) -> int:
        return self.next_id - self.first_id

    @property
    def first_id(self) -> int:
        """The smallest id of a sequence that is still there."""
        oldest_row = max(self._steps.next_row - self._steps.rows, 0)
        return -(-oldest_row // self._trajectory) * self.columns

    @property
    def next_id(self) -> int:
        """The smallest id of a sequence that is not stored to its end yet."""
        return max((self._steps.next_row - self.length) // self._trajectory + 1, 0) * self.columns

    def add(self, batch: Batch) -> None:
        """Append the steps of a batch, and start a sequence in each column."""
        if len(batch.rewards) != self._trajectory:
            raise FrameworkError(
                f"sequences begin with trajectories of rollout_length = {self._trajectory} steps; one has "
                f"{len(batch.rewards)}"
            )
        self._steps.add(batch)
        memory = {_MEMORY + name: to_array(x) for name, x in batch.memory.items()}
        self._starts.push({"first": to_array(batch.first[0]), **memory})
        self._starts.drop(self.first_id)

    def sequences(self, ids: np.ndarray) -> Sequences:
        """The sequences of some ids, which must still be there."""
        rows = ids // self.columns * self._trajectory + np.arange(self.length + 1)[:, None]
        memory = {
            name.removeprefix(_MEMORY): self._starts.take(name, ids)
            for name in self._starts.names
            if name.startswith(_MEMORY)
        }
        first = self._starts.take("first", ids)
        return self._steps.sequences(rows * self.columns + ids % self.columns, first, memory)

    def state_dict(self) -> dict[str, Any]:
        """All that is stored."""
        return {"steps": self._steps.state_dict(), "starts": self._starts.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self._steps.load_state_dict(state["steps"])
        self._starts.load_state_dict(state["starts"])

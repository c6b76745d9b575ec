"""Ring buffer of steps, one column per environment, and the transitions made of them.

Rows are counted from 0 for ever, and the step of column ``n`` in row ``t`` has the id ``t * columns + n``: its place in
a ring is the remainder, and whether it is still there a comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Sequences, Transitions
from framework_replay import observations
from framework_replay.queue import Queue

_MASK, _EXTRA = "action_mask", "extras/"


class Storage:
    """The last ``capacity // columns`` rows of steps.

    The next observation of a step is that of the next row; last observations of episodes are kept apart, as long as
    the step that they follow.
    """

    def __init__(self, capacity: int, n_step: int, share_frames: bool, context: Context):
        self.columns = context.num_envs
        self.rows = capacity // self.columns  #: how many rows of steps can be sampled
        if self.rows < context.rollout_length:
            raise FrameworkError(
                f"a replay buffer of {capacity} steps does not hold one batch, which has "
                f"{context.num_envs} environments of {context.rollout_length} steps: raise its capacity"
            )
        #: Places in the ring: a row more, of which only the observations are known yet.
        self.places = (self.rows + 1) * self.columns
        self.next_row = 0  #: the row that the next step goes to
        self.size = 0  #: how many steps can be sampled
        self._n_step, self._share_frames, self._device = n_step, share_frames, context.device
        # The columns of a batch may be other environments each time; then nothing goes on from batch to batch.
        self._continued = context.policy_lag != "free"
        self._allocate(_dtype({}))
        self._leaves: dict[str, observations.Whole | observations.Frames] = {}
        self._finals = Queue()  #: last observations of episodes
        self._finals_after = np.zeros(self.rows + 1, np.int64)  #: number of the next final, after each row

    @property
    def first_id(self) -> int:
        """The smallest id that is still there."""
        return max(self.next_row - self.rows, 0) * self.columns

    @property
    def next_id(self) -> int:
        """The smallest id that was not given yet."""
        return self.next_row * self.columns

    def add(self, batch: Batch) -> np.ndarray:
        """Append the steps of a batch; returns their ids [T, N], -1 where ``valid`` is false."""
        steps, columns = batch.rewards.shape
        if columns != self.columns or steps > self.rows:
            raise FrameworkError(
                f"this replay buffer takes up to {self.rows} steps of {self.columns} environments at once, not "
                f"{steps} steps of {columns}"
            )
        leaves = {name: to_array(x) for name, x in batch.observations.items()}
        if batch.action_mask is not None:
            leaves[_MASK] = to_array(batch.action_mask)
        records, first = _records(batch), to_array(batch.first)
        if not self._leaves:
            self._allocate(records.dtype)
            for name, values in leaves.items():
                self._leaves[name] = observations.make(self.rows + 1, values, first, share_frames=self._share_frames)
        if records.dtype != self._steps.dtype or leaves.keys() != self._leaves.keys():
            raise FrameworkError("a batch has other fields than those before it: each must have the same")
        restart = self._join(leaves, first[0])
        for name, leaf in self._leaves.items():
            leaf.write(self.next_row, leaves[name], restart)
        self._push_finals(batch, records)
        evicted = np.arange(self.first_id, max(self.next_row + steps - self.rows, 0) * columns)
        self.size += int(records["valid"].sum()) - int(self.valid(evicted).sum())
        observations.put(self._steps, self.next_id, records)
        ids = np.arange(self.next_id, self.next_id + records.size).reshape(records.shape)
        self.next_row += steps
        if not self._continued:
            self._cut(self._last_row()["final"] < 0)
        return np.where(records["valid"], ids, -1)

    def valid(self, ids: np.ndarray) -> np.ndarray:
        """Which of some steps that are still there can be sampled."""
        valid: np.ndarray = self._steps["valid"][ids % self.places]
        return valid

    def transitions(self, ids: np.ndarray) -> Transitions:
        """The transitions that start at some steps, which must still be there."""
        first, last, steps, rewards = self._spans(ids)
        following = ids + steps * self.columns
        finals = self._steps["final"][last]
        ended = (finals >= 0).nonzero()[0]
        pairs: dict[str, tuple[torch.Tensor, ...]] = {}
        for name, leaf in self._leaves.items():
            before, after = leaf.take(ids), leaf.take(following)
            if len(ended):
                # Nothing tells what is legal after the end.
                after[ended] = True if name == _MASK else self._finals.take(name, finals[ended])
            pairs[name] = self._tensor(before), self._tensor(after)
        mask, next_mask = pairs.pop(_MASK, (None, None))
        return Transitions(
            observations={name: pair[0] for name, pair in pairs.items()},
            actions=self._tensor(self._steps["action"][first]),
            rewards=self._tensor(rewards),
            steps=self._tensor(steps),
            terminated=self._tensor(self._steps["terminated"][last]),
            next_observations={name: pair[1] for name, pair in pairs.items()},
            action_mask=mask,
            next_action_mask=next_mask,
            extras={name.removeprefix(_EXTRA): self._tensor(self._steps[name][first]) for name in self._extras},
        )

    def sequences(self, ids: np.ndarray, first: np.ndarray, memory: dict[str, np.ndarray]) -> Sequences:
        """Successive steps ``ids`` [L + 1, B], of which the last row need only be observed yet.

        ``first`` [B] and ``memory`` are those of the first row.
        """
        steps = self._steps[ids[:-1] % self.places]
        ended = (steps["final"] >= 0) & steps["valid"]
        last = np.flatnonzero(ended)
        finals = steps["final"].ravel()[last]
        observed, final_observations = {}, {}
        for name, leaf in self._leaves.items():
            rows = leaf.take(ids.ravel())
            observed[name] = self._tensor(rows.reshape(*ids.shape, *rows.shape[1:]))
            if name != _MASK:
                final_observations[name] = self._tensor(self._finals.take(name, finals) if len(finals) else rows[:0])
        mask = observed.pop(_MASK, None)
        return Sequences(
            observations=observed,
            actions=self._tensor(steps["action"]),
            rewards=self._tensor(steps["reward"]),
            terminated=self._tensor(steps["terminated"]),
            # Where an environment spends a step on its reset, the episode starts after that.
            first=self._tensor(np.concatenate((first[None], ended | ~steps["valid"]))),
            valid=self._tensor(steps["valid"]),
            memory={name: self._tensor(values) for name, values in memory.items()},
            final_index=self._tensor(last),
            final_observations=final_observations,
            n_step=self._n_step,
            action_mask=mask,
            extras={name.removeprefix(_EXTRA): self._tensor(steps[name]) for name in self._extras},
        )

    def state_dict(self) -> dict[str, Any]:
        """All that is stored, as numpy arrays; places never written are left out."""
        filled = min(self.next_id, self.places)
        observed = min(self.next_id + self.columns, self.places)
        return {
            "places": self.places,
            "next_row": self.next_row,
            "size": self.size,
            "steps": {name: self._steps[name][:filled].copy() for name in self._steps.dtype.names or ()},
            "leaves": {name: leaf.state_dict(observed) for name, leaf in self._leaves.items()},
            "finals": self._finals.state_dict(),
            "finals_after": self._finals_after.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        if state["places"] != self.places:
            raise FrameworkError(
                f"the saved replay buffer has {state['places']} places and this one {self.places}: its capacity "
                "and the number of environments must stay what they were"
            )
        self.next_row, self.size = state["next_row"], state["size"]
        columns = state["steps"]
        self._allocate(_dtype({name: (x.dtype, x.shape[1:]) for name, x in columns.items()}))
        for name, values in columns.items():
            self._steps[name][: len(values)] = values
        self._leaves = {
            name: observations.restore(self.rows + 1, self.columns, leaf) for name, leaf in state["leaves"].items()
        }
        self._finals.load_state_dict(state["finals"])
        self._finals_after[:] = state["finals_after"]

    def _allocate(self, dtype: np.dtype[Any]) -> None:
        self._steps = np.zeros(self.places if dtype.names else 0, dtype)  #: [places] records, see `_records`
        self._extras = [name for name in dtype.names or () if name.startswith(_EXTRA)]

    def _join(self, leaves: dict[str, np.ndarray], first: np.ndarray) -> np.ndarray:
        """End what does not go on in a batch's row 0; returns the columns whose observation there is not known yet.

        An episode that was left without an end, by environments that started anew, counts as cut short.
        """
        if not self.next_row or not self._continued:
            return np.ones(self.columns, bool)
        pending, unknown = np.arange(self.next_id, self.next_id + self.columns), np.zeros(self.columns, bool)
        for name, leaf in self._leaves.items():
            differs = leaf.take(pending) != leaves[name][0]
            unknown |= differs.reshape(self.columns, differs.size // self.columns).any(axis=1)
        self._cut((first | unknown) & (self._last_row()["final"] < 0))
        return unknown

    def _cut(self, columns: np.ndarray) -> None:
        """End the episodes of the last row in some columns [N] bool, with the observations that followed it."""
        ended = np.flatnonzero(columns)
        if len(ended):
            following = {name: leaf.take(self.next_id + ended) for name, leaf in self._leaves.items() if name != _MASK}
            self._last_row()["final"][ended] = self._finals.push(following)
            self._finals_after[(self.next_row - 1) % len(self._finals_after)] = self._finals.next

    def _push_finals(self, batch: Batch, records: np.ndarray) -> None:
        """Keep the last observations of a batch's episodes, and forget those of the steps that it displaces."""
        index = to_array(batch.final_index)
        order = index.argsort()
        index = index[order]
        ends = np.flatnonzero(to_array(batch.terminated | batch.truncated))
        if not np.array_equal(index, ends):
            raise FrameworkError(
                f"a batch has {len(ends)} ends of episodes, but {len(index)} last observations at them"
            )
        evicted = self.next_row + len(records) - self.rows - 1
        if evicted >= 0:
            self._finals.drop(int(self._finals_after[evicted % len(self._finals_after)]))
        after = self._finals.next + np.bincount(index // self.columns, minlength=len(records)).cumsum()
        observations.put(self._finals_after, self.next_row, after[:, None])
        if len(index):
            rows = {name: to_array(x)[order] for name, x in batch.final_observations.items()}
            records["final"].reshape(-1)[index] = self._finals.push(rows)

    def _last_row(self) -> np.ndarray:
        """Records [N] of the newest row, as a view."""
        start = (self.next_id - self.columns) % self.places
        return self._steps[start : start + self.columns]

    def _spans(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Places of the first and of the last step, number of steps, and rewards [B, n], of each transition."""
        n, reward = self._n_step, self._steps["reward"]
        if n == 1:
            places = ids % self.places
            return places, places, np.ones(len(ids), np.int64), reward[places][:, None]
        window = ids[:, None] + np.arange(n) * self.columns
        places = window % self.places
        over = (self._steps["final"][places] >= 0) | (window >= self.next_id - self.columns)
        over[:, -1] = True
        last = over.argmax(axis=1)
        rewards = np.where(np.arange(n) <= last[:, None], reward[places], np.float32(0))
        return places[:, 0], places[np.arange(len(ids)), last], last + 1, rewards

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        return tensor if self._device == "cpu" else tensor.to(self._device)


def _records(batch: Batch) -> np.ndarray:
    """The steps of a batch as records [T, N]; ``final`` is the number of the observation that ends the episode."""
    shape = batch.rewards.shape
    fields: dict[str, torch.Tensor] = {
        "action": batch.actions,
        "reward": batch.rewards,
        "terminated": batch.terminated,
        "valid": batch.valid,
    }
    for name, values in batch.extras.items():
        if values.shape[:2] == shape and not name.startswith("final_"):
            fields[_EXTRA + name] = values
    arrays = {name: to_array(values) for name, values in fields.items()}
    kinds = {name: (x.dtype, x.shape[2:]) for name, x in arrays.items()} | {"final": (np.dtype(np.int64), ())}
    records = np.empty(shape, _dtype(kinds))
    for name, array in arrays.items():
        records[name] = array
    records["final"] = -1
    return records


def _dtype(fields: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> np.dtype[Any]:
    return np.dtype([(name, *kind) for name, kind in fields.items()], align=True)


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """A tensor of any device as a NumPy array; on CPUs they share their memory."""
    return tensor.detach().cpu().numpy()

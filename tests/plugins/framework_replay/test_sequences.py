"""Sequences in the ring buffer, against lists of steps."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
import torch
from played import Play, context

from framework.errors import FrameworkError
from framework_replay.config import UniformConfig
from framework_replay.sequences import SequenceStorage


class Remembered:
    """Play whose batches have a memory, which is all that is different in each."""

    def __init__(self, columns: int, steps: int, **fields: Any):
        self.play, self._steps = Play(columns, **fields), steps
        self.memories: list[torch.Tensor] = []
        self.starts: list[torch.Tensor] = []

    def batch(self, lost: tuple[int, ...] = ()) -> Any:
        """The next trajectory."""
        batch = self.play.batch(self._steps, lost)
        batch.memory = {"hidden": torch.from_numpy(self.play.rng.normal(size=(self.play.columns, 2)))}
        self.memories.append(batch.memory["hidden"])
        self.starts.append(batch.first[0])
        return batch


def storage(columns: int, steps: int, length: int, capacity: int, **fields: Any) -> SequenceStorage:
    return SequenceStorage(UniformConfig(capacity=capacity, n_step=3), context(columns, steps, **fields), length)


def check(sequences: Any, column: int, number: int, source: Remembered, steps: int, length: int) -> None:
    """One sampled sequence is what the lists have for its trajectory and environment."""
    trajectory, n = divmod(number, source.play.columns)
    rows = [source.play.steps[trajectory * steps + t][n] for t in range(length)]
    assert torch.equal(sequences.memory["hidden"][column], source.memories[trajectory][n])
    ended = [step.ended for step in rows]
    first = [bool(source.starts[trajectory][n])] + [step.ended or not step.valid for step in rows]
    assert sequences.first[:, column].tolist() == first
    assert sequences.valid[:, column].tolist() == [step.valid for step in rows]
    assert sequences.terminated[:, column].tolist() == [step.terminated for step in rows]
    for name, values in sequences.observations.items():
        for t, step in enumerate(rows):
            np.testing.assert_array_equal(values[t, column].numpy(), step.observation[name])
        if not ended[-1]:
            np.testing.assert_array_equal(values[length, column].numpy(), rows[-1].after[name])
    count = sequences.rewards.shape[1]
    places = [int(index) // count for index in sequences.final_index if int(index) % count == column]
    assert places == [t for t in range(length) if ended[t]]
    for k, index in enumerate(sequences.final_index.tolist()):
        if index % count == column:
            for name, values in sequences.final_observations.items():
                np.testing.assert_array_equal(values[k].numpy(), rows[index // count].after[name])
    valid = [t for t in range(length) if rows[t].valid]
    assert sequences.actions[valid, column].tolist() == [rows[t].action for t in valid]
    np.testing.assert_array_equal(sequences.rewards[valid, column], np.array([rows[t].reward for t in valid], "f4"))
    np.testing.assert_array_equal(sequences.action_mask[:length, column], [step.mask for step in rows])
    np.testing.assert_array_equal(sequences.extras["noise"][:, column], [step.extra for step in rows])


@pytest.mark.parametrize(("steps", "length", "capacity"), [(4, 4, 30), (4, 10, 40), (2, 7, 24), (5, 3, 15)])
@pytest.mark.parametrize("reset_steps", [False, True])
def test_sequences_are_the_steps_from_each_trajectory_on(steps, length, capacity, reset_steps):
    """Whole sequences alone, those that are not evicted, each with the memory that its trajectory began with."""
    source = Remembered(3, steps, end=0.3, reset_steps=reset_steps)
    stored = storage(3, steps, length, capacity)
    for number in range(1, 16):
        stored.add(source.batch(lost=(1,) if number == 9 else ()))
        rows = number * steps
        kept = [k for k in range(number) if k * steps + length <= rows and k * steps >= rows - capacity // 3]
        assert (stored.first_id, stored.next_id) == (3 * kept[0], 3 * kept[-1] + 3) if kept else not len(stored)
        assert len(stored) == 3 * len(kept)
        ids = np.arange(stored.first_id, stored.next_id)
        if not kept:
            continue
        sequences = stored.sequences(ids)
        assert sequences.n_step == 3
        for column, number_ in enumerate(ids.tolist()):
            check(sequences, column, number_, source, steps, length)


def test_a_restored_storage_gives_the_same():
    """Bit for bit, after more steps too."""
    source = Remembered(2, 4, end=0.3)
    first, second = storage(2, 4, 6, 30), storage(2, 4, 6, 30)
    for _ in range(6):
        first.add(source.batch())
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        ids = np.arange(first.first_id, first.next_id)
        assert (second.first_id, second.next_id) == (first.first_id, first.next_id)
        for name, value in attrs.asdict(first.sequences(ids)).items():
            torch.testing.assert_close(attrs.asdict(second.sequences(ids))[name], value, rtol=0, atol=0)
        batch = source.batch()
        first.add(batch)
        second.add(batch)


def test_under_free_lag_a_sequence_is_within_its_trajectory():
    """A longer one is refused; what is sampled ends with its trajectory, at the true next observation."""
    with pytest.raises(FrameworkError, match=r"5 steps need a rollout_length of as many, not 4"):
        storage(2, 4, 5, 40, policy_lag="free")
    stored, source = storage(2, 4, 4, 40, policy_lag="free"), Remembered(2, 4, end=0.0)
    for _ in range(3):
        stored.add(source.batch())
    sequences = stored.sequences(np.arange(2, 4))
    assert sequences.final_index.tolist() == [6, 7]
    assert not sequences.terminated.any()
    for name, values in sequences.final_observations.items():
        torch.testing.assert_close(values, sequences.observations[name][4])
        expected = np.stack([step.after[name] for step in source.play.steps[7]])
        np.testing.assert_array_equal(values.numpy(), expected)


def test_what_holds_no_sequence_is_refused():
    """The error says which capacity would."""
    with pytest.raises(FrameworkError, match=r"does not hold a sequence of 10 steps .* raise its capacity to 36 "):
        storage(3, 4, 10, 35)
    assert storage(3, 4, 10, 36).length == 10


def test_trajectories_of_another_length_are_refused():
    """As sequences begin with each."""
    with pytest.raises(FrameworkError, match="rollout_length = 4 steps; one has 3"):
        storage(2, 4, 4, 40).add(Remembered(2, 3).batch())

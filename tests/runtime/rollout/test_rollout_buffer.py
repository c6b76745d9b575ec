from typing import Any

import numpy as np
import pytest
import torch
from environments import SPACES
from gymnasium.spaces import Discrete, Space

from framework.runtime.rollout.episode_stats import EpisodeStats, FinishedEpisodes
from framework.runtime.rollout.rollout_buffer import RolloutBuffer, batch_arrays
from framework.runtime.rollout.vector import VectorArrays

STEPS, COUNT, ACTIONS = 5, 3, 4


class Shuffled(VectorArrays):
    """A vector that shows something else in all of its arrays after each step, and remembers nothing."""

    replayable = True

    def __init__(self, space: Space[Any], masks: bool = True, self_resetting: bool = False):
        super().__init__(COUNT, space, Discrete(ACTIONS))
        self._rng = np.random.default_rng(0)
        self.self_resetting = self_resetting
        self.prepare_masks(masks)
        self.shuffle()

    def shuffle(self) -> None:
        for array in (*self.observations.values(), self.rewards):
            array[...] = self._rng.integers(0, 2 if array.dtype == bool else 100, array.shape)
        self.ended[:] = self._rng.random(self.ended.shape) < 0.3
        if self.action_mask is not None:
            self.action_mask[:] = self._rng.random(self.action_mask.shape) < 0.5
        if self.self_resetting:
            self.valid[:] = self._rng.random(COUNT) < 0.5

    def shown(self) -> dict[str, np.ndarray]:
        """A copy of everything that is to be seen."""
        arrays = {f"observations/{name}": array for name, array in self.observations.items()}
        arrays |= {"rewards": self.rewards, "terminated": self.terminated, "truncated": self.truncated}
        arrays["valid"] = self.valid
        if self.action_mask is not None:
            arrays["action_mask"] = self.action_mask
        return {name: array.copy() for name, array in arrays.items()}


def filled(vector: Shuffled) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]], RolloutBuffer]:
    """The arrays of a trajectory of this vector, what it showed before and after each step, and the buffer."""
    buffer = RolloutBuffer(STEPS, vector, np.array([True, False, True]))
    snapshots = [vector.shown()]
    for t in range(STEPS):
        observations, first, mask = buffer.observe(t, vector)
        for name, tensor in observations.items():
            np.testing.assert_array_equal(tensor.numpy(), snapshots[t][f"observations/{name}"])
        assert first.tolist() == buffer.first[t].tolist()
        assert (mask is None) == (vector.action_mask is None)
        if mask is not None:
            np.testing.assert_array_equal(mask.numpy(), snapshots[t]["action_mask"])
        vector.shuffle()
        snapshots.append(vector.shown())
        buffer.record(t, torch.full((COUNT,), t), {"value": torch.arange(COUNT) + 10.0 * t}, vector)
        buffer.first[t + 1] = vector.terminated
    buffer.observe(STEPS, vector)
    batch = buffer.batch({"h": torch.ones(COUNT, 2)}, FinishedEpisodes(range(COUNT)))
    return batch_arrays(batch), snapshots, buffer


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("self_resetting", [False, True])
def test_rows_are_what_the_vector_showed(name: str, self_resetting: bool) -> None:
    """Row t of what is observed stands before step t, row t of what it led to after it; all of it is copied."""
    arrays, snapshots, _ = filled(Shuffled(SPACES[name], self_resetting=self_resetting))
    for key, array in arrays.items():
        if key.startswith("observations/") or key == "action_mask":
            assert array.shape[0] == STEPS + 1
            expected = np.stack([row[key] for row in snapshots])
        elif key in ("rewards", "terminated", "truncated", "valid"):
            assert array.shape == (STEPS, COUNT)
            expected = np.stack([row[key] for row in snapshots[1:]])
        else:
            continue
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert self_resetting != arrays["valid"].all()


def test_what_the_policy_gave_is_stacked() -> None:
    """Actions and extras by step; memory is that before the first step; ``first`` begins with what was handed over."""
    arrays, snapshots, _ = filled(Shuffled(SPACES["vector"]))
    assert arrays["actions"].tolist() == [[t] * COUNT for t in range(STEPS)]
    assert arrays["extras/value"].tolist() == [[10.0 * t, 10.0 * t + 1, 10.0 * t + 2] for t in range(STEPS)]
    assert arrays["memory/h"].tolist() == [[1.0, 1.0]] * COUNT
    assert arrays["first"].tolist() == [[True, False, True], *(row["terminated"].tolist() for row in snapshots[1:])]


def test_without_masks_there_are_none() -> None:
    """Neither for the policy nor in the trajectory."""
    arrays, _, _ = filled(Shuffled(SPACES["vector"], masks=False))
    assert "action_mask" not in arrays


def test_tensors_share_the_memory_of_the_arrays() -> None:
    """Nothing is copied for the policy that has been copied for the trajectory."""
    vector = Shuffled(SPACES["image"])
    buffer = RolloutBuffer(STEPS, vector, np.zeros(COUNT, bool))
    observations, first, _ = buffer.observe(2, vector)
    buffer.record(2, torch.zeros(COUNT), {}, vector)
    batch = buffer.batch({}, FinishedEpisodes(range(COUNT)))
    assert observations["observation"].data_ptr() == batch.observations["observation"][2].data_ptr()
    buffer.first[2] = [False, True, False]
    assert first.tolist() == [False, True, False]


def test_finished_episodes_are_in_the_batch() -> None:
    """Their index and their last observations, of the dtype and shape of the leaf."""
    vector = Shuffled(SPACES["nested"])
    buffer = RolloutBuffer(STEPS, vector, np.zeros(COUNT, bool))
    finished: Any = FinishedEpisodes(range(COUNT))
    buffer.record(0, torch.zeros(COUNT), {}, vector)
    finished.add(3, np.array([0, 2]), vector, EpisodeStats(COUNT), [None] * COUNT)
    batch = buffer.batch({}, finished)
    assert batch.final_index.tolist() == [9, 11]
    for name, tensor in batch.final_observations.items():
        assert (tensor.dtype, tensor.shape[1:]) == (batch.observations[name].dtype, batch.observations[name].shape[2:])
        np.testing.assert_array_equal(tensor.numpy(), vector.observations[name][[0, 2]])


def test_arrays_can_be_sent_as_they_lie() -> None:
    """Contiguous, whatever the policy's tensors are, and named by field and entry."""
    vector = Shuffled(SPACES["dict"])
    buffer = RolloutBuffer(2, vector, np.zeros(COUNT, bool))
    for t in range(2):
        buffer.record(t, torch.zeros(COUNT), {"wide": torch.arange(6.0).reshape(2, 3).t()}, vector)
    batch = buffer.batch({"h": torch.arange(6.0).reshape(2, 3).t()}, FinishedEpisodes(range(COUNT)))
    arrays = batch_arrays(batch)
    assert all(array.flags.c_contiguous for array in arrays.values())
    assert arrays["memory/h"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert arrays["extras/wide"].shape == (2, COUNT, 2)
    assert {"observations/a", "observations/b", "final_observations/a", "final_observations/b"} <= arrays.keys()

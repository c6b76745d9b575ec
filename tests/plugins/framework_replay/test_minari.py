"""A dataset as a replay buffer: its steps for good, and beside them those that are collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from played import context

from framework.errors import FrameworkError
from framework.testing.experience import Experience
from framework_replay.config import MinariConfig
from framework_replay.minari import Minari

LENGTHS = [5, 3, 1, 6]


def made(masked: bool = False, **options: Any) -> tuple[Minari, Experience]:
    """A buffer with the dataset, and what can be added to it."""
    sizes = {"observation_space": {"observation": datasets.PLAIN}, "action_space": datasets.CHOICE}
    whole = context(2, 4, **sizes)
    return Minari(MinariConfig(dataset="test/small-v0", **options), whole), Experience(whole, masked=masked)


def drawn(replay: Minari, count: int = 4000) -> tuple[Any, np.ndarray]:
    """Many transitions and their ids."""
    transitions, ids, weights = replay.sample(count, np.random.default_rng(0))
    assert (weights == 1).all()
    return transitions, ids


@pytest.mark.parametrize("n", [1, 3])
def test_transitions_are_those_of_the_dataset(minari_store: Path, n: int) -> None:
    """Against plain lists: of one or more steps, which never cross the end of an episode."""
    episodes = datasets.write(LENGTHS)
    replay, _ = made(n_step=n)
    assert len(replay) == sum(LENGTHS)
    transitions, ids = drawn(replay, 300)
    starts = [(number, step) for number, length in enumerate(LENGTHS) for step in range(length)]
    for row, index in enumerate(ids.tolist()):
        number, step = starts[index]
        columns, last = episodes[number], min(step + n, LENGTHS[number])
        observations = columns["observations"]
        np.testing.assert_array_equal(transitions.observations["observation"][row], observations[step])
        np.testing.assert_array_equal(transitions.next_observations["observation"][row], observations[last])
        assert transitions.actions[row] == columns["actions"][step]
        assert transitions.steps[row] == last - step
        rewards = columns["rewards"][step:last].astype(np.float32)
        np.testing.assert_array_equal(transitions.rewards[row], np.pad(rewards, (0, n - len(rewards))))
        assert transitions.terminated[row] == columns["terminations"][last - 1]


def test_what_is_collected_is_drawn_as_often(minari_store: Path) -> None:
    """Every step, of the dataset or not, is equally likely; only those that were collected are ever displaced."""
    datasets.write(LENGTHS)
    replay, experience = made(capacity=16)
    for _ in range(4):
        ids = replay.add(next(experience))
    assert len(replay) == sum(LENGTHS) + 16
    assert ids.min() >= sum(LENGTHS) + 16
    numbers, counts = np.unique(drawn(replay, 31_000)[1], return_counts=True)
    assert numbers.tolist() == [*range(15), *range(15 + 16, 15 + 32)]
    assert (abs(counts - 1000) < 200).all()


def test_masks_of_what_is_collected(minari_store: Path) -> None:
    """Where the dataset tells none, all actions were legal in it."""
    datasets.write(LENGTHS)
    replay, experience = made(masked=True)
    assert drawn(replay)[0].action_mask is None
    replay.add(next(experience))
    transitions, ids = drawn(replay)
    legal = transitions.action_mask.all(-1)
    assert legal[torch.from_numpy(ids < sum(LENGTHS))].all()
    assert not legal[torch.from_numpy(ids >= sum(LENGTHS))].any()


def test_checkpoints_hold_what_was_collected(minari_store: Path) -> None:
    """And a digest of the dataset, which is read again: the same is sampled from it."""
    datasets.write(LENGTHS)
    replay, experience = made()
    replay.add(next(experience))
    state = replay.state_dict()
    assert len(state["collected"]["steps"]["reward"]) == 8
    again, _ = made()
    again.load_state_dict(state)
    for one, another in zip(drawn(replay), drawn(again), strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, another)
        else:
            torch.testing.assert_close(one.observations, another.observations, rtol=0, atol=0)


def test_another_dataset_is_refused(minari_store: Path) -> None:
    """A run goes on with the one that it began with."""
    datasets.write(LENGTHS)
    state = made()[0].state_dict()
    datasets.write(LENGTHS[::-1], name="test/other-v0")
    resumed, _ = made()
    resumed.load_state_dict(state)
    (minari_store / "test/small-v0").rename(minari_store / "test/kept")
    (minari_store / "test/other-v0").rename(minari_store / "test/small-v0")
    with pytest.raises(FrameworkError, match="no longer the one that this run began with"):
        made()[0].load_state_dict(state)

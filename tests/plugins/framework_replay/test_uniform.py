"""Uniform replay."""

from __future__ import annotations

import numpy as np
import pytest
from played import Play, context, plain, same

from framework.errors import FrameworkError
from framework_replay.config import UniformConfig
from framework_replay.uniform import Uniform


def make(capacity=12, columns=2, **options):
    return Uniform(UniformConfig(capacity=capacity, **options), context(columns))


@pytest.mark.parametrize("reset_steps", [False, True])
def test_every_stored_step_is_equally_likely(reset_steps):
    """Draws of each step that is kept stay within 5 deviations, and no other is drawn."""
    play, replay = Play(2, reset_steps=reset_steps, end=0.4), make()
    ids = np.concatenate([replay.add(play.batch(3)) for _ in range(5)])[-6:]
    stored = ids[ids >= 0]
    assert len(replay) == len(stored)
    assert (len(stored) < ids.size) == reset_steps
    _, drawn_ids, weights = replay.sample(20_000, np.random.default_rng(0))
    unique_ids, counts = np.unique(drawn_ids, return_counts=True)
    np.testing.assert_array_equal(unique_ids, np.sort(stored))
    expected = 20_000 / len(stored)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert weights.dtype == np.float32
    assert (weights == 1).all()


def test_samples_are_the_steps_of_their_ids():
    """Each transition is that of its id, of n steps."""
    play, replay = Play(2), make(n_step=3)
    for _ in range(4):
        replay.add(play.batch(4))
    transitions, ids, _ = replay.sample(50, np.random.default_rng(0))
    assert all(same(plain(transitions, row), play.expected(int(ids[row]), 3)) for row in range(50))


def test_capacity_of_one():
    """The buffer holds the newest step alone."""
    play, replay = Play(1), make(1, 1)
    for number in range(5):
        replay.add(play.batch(1))
        transitions, ids, _ = replay.sample(3, np.random.default_rng(0))
        assert len(replay) == 1
        assert ids.tolist() == [number] * 3
        assert same(plain(transitions, 0), play.expected(number, 1))


def test_an_empty_buffer_is_not_sampled():
    """The error says what to do."""
    with pytest.raises(FrameworkError, match="add a batch first"):
        make().sample(1, np.random.default_rng(0))


def test_priorities_change_nothing():
    """The same steps are drawn after them."""
    play, replay = Play(2), make()
    ids = replay.add(play.batch(6)).ravel()
    before = replay.sample(20, np.random.default_rng(0))[1]
    replay.update_priorities(ids, np.arange(12.0))
    np.testing.assert_array_equal(replay.sample(20, np.random.default_rng(0))[1], before)


def test_a_loaded_buffer_goes_on_identically():
    """The same generator draws the same transitions from it."""
    play, replay, loaded = Play(2), make(), make()
    for _ in range(3):
        replay.add(play.batch(4))
    loaded.load_state_dict(replay.state_dict())
    batch = play.batch(2)
    for buffer in (replay, loaded):
        buffer.add(batch)
    sample, loaded_sample = (buffer.sample(30, np.random.default_rng(5)) for buffer in (replay, loaded))
    np.testing.assert_array_equal(sample[1], loaded_sample[1])
    assert all(same(plain(loaded_sample[0], row), plain(sample[0], row)) for row in range(30))

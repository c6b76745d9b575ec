"""Uniform and prioritized sequences: how often each is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from played import Play, context

from framework.errors import FrameworkError
from framework.interfaces import SequenceReplay
from framework_replay.config import PrioritizedConfig, UniformConfig
from framework_replay.prioritized import Prioritized
from framework_replay.uniform import Uniform

STEPS, LENGTH, CAPACITY = 4, 6, 40


def uniform(**fields: Any) -> Any:
    return Uniform(UniformConfig(capacity=CAPACITY), context(2, STEPS, **fields)).sequences(LENGTH)


def prioritized(**options: Any) -> Any:
    config = PrioritizedConfig(**{"capacity": CAPACITY, "epsilon": 1e-9, **options})
    return Prioritized(config, context(2, STEPS)).sequences(LENGTH)


def filled(buffer: Any, batches: int = 9) -> Any:
    play = Play(2)
    for number in range(batches):
        buffer.add(play.batch(STEPS, progress=number / batches))
    return buffer


def drawn(buffer: Any, count: int = 20_000) -> dict[int, float]:
    """Share of the draws of each sequence."""
    _, ids, _ = buffer.sample(count, np.random.default_rng(0))
    return dict(zip(*(x.tolist() for x in np.unique(ids, return_counts=True)), strict=True))


def test_both_buffers_have_a_form_for_sequences():
    """As the contract says."""
    assert isinstance(Uniform(UniformConfig(), context(2)), SequenceReplay)
    assert isinstance(Prioritized(PrioritizedConfig(), context(2)), SequenceReplay)


@pytest.mark.parametrize("make", [uniform, prioritized])
def test_every_whole_sequence_is_equally_likely_at_first(make):
    """Draws of each stay within 5 deviations; of 20 rows those of 4 trajectories are whole. All weights are 1."""
    buffer = filled(make())
    counts = drawn(buffer)
    assert len(buffer) == 8
    assert sorted(counts) == list(range(8, 16))
    expected = 20_000 / 8
    assert all(abs(count - expected) < 5 * np.sqrt(expected) for count in counts.values())
    weights = buffer.sample(64, np.random.default_rng(1))[2]
    assert weights.dtype == np.float32
    assert (weights == 1).all()


def test_priorities_say_how_often_a_sequence_is_drawn():
    """In proportion to priority ** alpha, with weights of (N P) ** -beta; new sequences get the largest so far."""
    buffer = filled(prioritized(alpha=0.5, beta=0.7, beta_end=0.7))
    play = Play(2, seed=1)
    buffer.update_priorities([8, 9, 10, 11, 12, 13, 14, 15, 9], [1, 16, 4, 9, 16, 1, 0.25, 25, 4])
    sizes = dict(zip(range(8, 16), np.sqrt([1, 4, 4, 9, 16, 1, 0.25, 25]), strict=True))
    chances = {number: size / sum(sizes.values()) for number, size in sizes.items()}
    for number, count in drawn(buffer).items():
        assert count == pytest.approx(20_000 * chances[number], rel=0.15)
    _, ids, weights = buffer.sample(200, np.random.default_rng(2))
    expected = np.array([(8 * chances[number]) ** -0.7 for number in ids.tolist()])
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-5)
    buffer.add(play.batch(STEPS))
    counts = drawn(buffer)
    assert sorted(counts) == list(range(10, 18))
    assert counts[16] == pytest.approx(counts[15], rel=0.1)


def test_evicted_sequences_are_ignored_and_others_refused():
    """Priorities for those change nothing; for one that was never given, or that is no number, there is an error."""
    buffer = filled(prioritized())
    before = drawn(buffer)
    buffer.update_priorities([0, 7], [1e6, 1e6])
    buffer.update_priorities([], [])
    assert drawn(buffer) == before
    with pytest.raises(FrameworkError, match="16 was never given"):
        buffer.update_priorities([16], [1.0])
    with pytest.raises(FrameworkError, match="priority of id 9 is nan"):
        buffer.update_priorities([9], [float("nan")])


@pytest.mark.parametrize("make", [uniform, prioritized])
def test_nothing_is_sampled_before_a_sequence_is_whole(make):
    """The error says for how many steps to wait."""
    buffer = filled(make(), 1)
    assert not len(buffer)
    with pytest.raises(FrameworkError, match="no sequence of 6 steps is stored to its end yet"):
        buffer.sample(1, np.random.default_rng(0))


@pytest.mark.parametrize("make", [uniform, prioritized])
def test_a_restored_buffer_samples_the_same(make):
    """Bit for bit, priorities and what follows included."""
    first, second = filled(make()), make()
    first.update_priorities([10, 12], [5.0, 0.1])
    second.load_state_dict(first.state_dict())
    play = Play(2, seed=3)
    for seed in range(4):
        one, two = (buffer.sample(16, np.random.default_rng(seed)) for buffer in (first, second))
        np.testing.assert_array_equal(one[1], two[1])
        np.testing.assert_array_equal(one[2], two[2])
        np.testing.assert_array_equal(one[0].rewards, two[0].rewards)
        batch = play.batch(STEPS)
        for buffer in (first, second):
            buffer.add(batch)
            buffer.update_priorities(one[1], np.abs(one[0].rewards.numpy()).max(0))

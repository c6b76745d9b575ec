"""Prioritized replay: the paper's definitions, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from played import Play, context, plain, same

from framework.errors import FrameworkError
from framework_replay.config import PrioritizedConfig
from framework_replay.prioritized import Prioritized


def make(capacity=12, columns=2, **options):
    return Prioritized(PrioritizedConfig(capacity=capacity, **options), context(columns))


def filled(priorities, **options):
    """A buffer of one environment whose steps have these priorities."""
    replay, count = make(len(priorities), 1, **options), len(priorities)
    ids = replay.add(Play(1).batch(count)).ravel()
    replay.update_priorities(ids, priorities)
    return replay


class Model(RuleBasedStateMachine):
    """Steps come, go and change priority; a dictionary of priorities knows how likely each of them is."""

    @initialize(seed=st.integers(0, 1000), columns=st.integers(1, 3), rows=st.integers(1, 9), resets=st.booleans())
    def start(self, seed, columns, rows, resets):
        self.play, self.rng = Play(columns, seed, 0.3, resets), np.random.default_rng(seed)
        self.make = lambda: make(rows * columns, columns, n_step=2, alpha=0.7, epsilon=0.01)
        self.replay, self.rows, self.largest = self.make(), rows, 1.0
        self.ids, self.priorities = np.zeros((0, columns), np.int64), {}

    @rule(share=st.floats(0, 1))
    def add(self, share):
        ids = self.replay.add(self.play.batch(1 + int(share * (self.rows - 1))))
        self.ids = np.concatenate((self.ids, ids))
        self.priorities |= {int(number): self.largest for number in ids.ravel() if number >= 0}
        stored = set(self.ids[-self.rows :].ravel().tolist())
        self.priorities = {number: x for number, x in self.priorities.items() if number in stored}

    @precondition(lambda self: len(self.ids))
    @rule(count=st.integers(1, 20))
    def update(self, count):
        ids = self.rng.choice(self.ids.ravel(), count)  # evicted ones, those of reset steps, and the same ones twice
        values = self.rng.random(count) * 3
        self.replay.update_priorities(ids, values)
        for number, value in zip(ids.tolist(), values.tolist(), strict=True):
            if number in self.priorities:
                self.priorities[number] = value
                self.largest = max(self.largest, value)

    @precondition(lambda self: len(self.ids))
    @rule()
    def save_and_load(self):
        state, self.replay = self.replay.state_dict(), self.make()
        self.replay.load_state_dict(state)

    @invariant()
    def leaves_are_the_priorities(self):
        if not hasattr(self, "ids"):
            return
        assert len(self.replay) == len(self.priorities)
        leaves, storage = self.replay._tree.leaves, self.replay._storage
        expected = np.zeros(storage.places)
        for number, value in self.priorities.items():
            expected[number % storage.places] = (value + 0.01) ** 0.7
        np.testing.assert_allclose(leaves, expected, rtol=1e-12)

    @precondition(lambda self: self.priorities)
    @rule()
    def sample(self):
        transitions, ids, weights = self.replay.sample(8, self.rng)
        assert set(ids.tolist()) <= set(self.priorities)
        assert all(same(plain(transitions, row), self.play.expected(int(ids[row]), 2)) for row in range(8))
        assert weights.max() == 1


TestModel = Model.TestCase
TestModel.settings = settings(derandomize=True, deadline=None, max_examples=30, stateful_step_count=15)


@pytest.mark.parametrize(("alpha", "batch"), [(0.6, 1), (0.6, 50), (1.0, 1), (0.0, 1)])
def test_steps_are_drawn_in_proportion(alpha, batch):
    """100,000 draws, one by one or many at a time, fit p^alpha over its sum (chi-square, at the 0.1 % level)."""
    priorities = np.random.default_rng(1).random(20) * 5
    replay, rng = filled(priorities, alpha=alpha), np.random.default_rng(2)
    tree = replay._tree
    shares = np.concatenate([(np.arange(batch) + rng.random(batch)) / batch for _ in range(100_000 // batch)])
    counts = np.bincount(tree.find(shares)[0], minlength=20)[:20]
    expected = (priorities + 1e-6) ** alpha
    expected *= 100_000 / expected.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 43.8


def test_samples_follow_the_priorities():
    """The mean count of each step in samples is its share, within 5 deviations."""
    priorities = np.array([0.0, 1.0, 2.0, 5.0])
    replay, rng = filled(priorities, alpha=1.0), np.random.default_rng(0)
    ids = np.concatenate([replay.sample(8, rng)[1] for _ in range(500)])
    share = np.bincount(ids, minlength=4) / 4000
    assert (np.abs(share - priorities / 8) < 5 * np.sqrt(0.25 / 4000)).all()


def test_without_alpha_it_is_uniform_replay():
    """All leaves are equal and every weight is exactly 1."""
    replay = filled([0.0, 3.0, 100.0, 1e-9], alpha=0.0)
    _, ids, weights = replay.sample(4, np.random.default_rng(0))
    assert sorted(ids.tolist()) == [0, 1, 2, 3]
    assert (weights == 1).all()


def test_full_correction_makes_the_weighted_mean_uniform():
    """With beta 1, the mean of w x over the mean of w is the mean of x over all steps."""
    priorities, values = np.array([0.1, 0.5, 2.0, 7.0]), np.array([3.0, -1.0, 4.0, 10.0])
    replay = filled(priorities, beta=1.0)
    _, ids, weights = replay.sample(40_000, np.random.default_rng(0))
    assert (weights * values[ids]).mean() / weights.mean() == pytest.approx(values.mean(), abs=0.02)


def test_weights_are_those_of_the_paper():
    """(N P)^-beta over the largest of the sample."""
    priorities = np.array([0.1, 0.5, 2.0, 7.0])
    replay = filled(priorities, beta=0.4, beta_end=0.4)
    _, ids, weights = replay.sample(16, np.random.default_rng(0))
    leaves = (priorities + 1e-6) ** 0.6
    expected = (4 * leaves / leaves.sum())[ids] ** -0.4
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-6)


def test_beta_goes_from_its_start_to_its_end():
    """Linearly in the progress that the last batch tells."""
    replay, play = make(4, 1, beta=0.4, beta_end=0.8), Play(1)
    replay.add(play.batch(2))
    replay.update_priorities([0, 1], [0.0, 1.0])
    leaves = replay._tree.leaves
    for progress, beta in ((0.0, 0.4), (0.5, 0.6), (1.0, 0.8)):
        replay.add(play.batch(1, progress=progress))
        _, ids, weights = replay.sample(3, np.random.default_rng(0))
        sampled_priorities = leaves[ids % 5]
        np.testing.assert_allclose(weights, (sampled_priorities / sampled_priorities.min()) ** -beta, rtol=1e-6)


def test_new_steps_get_the_largest_priority_seen():
    """Even when the step that had it has a small one by now, or is gone."""
    replay, play = make(4, 1, alpha=1.0, epsilon=1e-9), Play(1)
    assert replay.add(play.batch(2)).tolist() == [[0], [1]]
    assert replay._tree.leaves[:2] == pytest.approx([1.0, 1.0])
    replay.update_priorities([0], [6.0])
    replay.update_priorities([0], [0.5])
    replay.add(play.batch(1))
    assert replay._tree.leaves[:3] == pytest.approx([0.5, 1.0, 6.0])


def test_priorities_of_zero_are_all_equally_likely():
    """Epsilon keeps every step in play."""
    _, ids, weights = filled(np.zeros(7)).sample(7, np.random.default_rng(0))
    assert ids.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert (weights == 1).all()


@pytest.mark.parametrize("priority", [float("nan"), -0.1, float("inf"), -float("inf")])
def test_wrong_priorities_are_errors(priority):
    """The message names the id and the value, and nothing has changed."""
    replay = filled([1.0, 2.0, 3.0])
    before = replay.state_dict()
    with pytest.raises(FrameworkError, match="priority of id 1 is"):
        replay.update_priorities([0, 1], [9.0, priority])
    np.testing.assert_equal(replay.state_dict(), before)


def test_wrong_ids_are_errors():
    """Ids that were never given, and another number of priorities than of ids."""
    replay = filled([1.0, 2.0, 3.0])
    with pytest.raises(FrameworkError, match="never given"):
        replay.update_priorities([3], [1.0])
    with pytest.raises(FrameworkError, match="give as many"):
        replay.update_priorities([0, 1], [1.0])


def test_evicted_ids_are_ignored():
    """The step that has their place now keeps its priority; no ids at all are fine too."""
    replay, play = make(3, 1, alpha=1.0), Play(1)
    for _ in range(5):
        replay.add(play.batch(1))
    before = replay._tree.leaves.copy()
    replay.update_priorities([0, -1, 1], [50.0, 60.0, 70.0])
    replay.update_priorities([], [])
    np.testing.assert_array_equal(replay._tree.leaves, before)
    assert replay._largest == 1.0


def test_an_empty_buffer_is_not_sampled():
    """The error says what to do."""
    with pytest.raises(FrameworkError, match="add a batch first"):
        make().sample(1, np.random.default_rng(0))


@pytest.mark.parametrize("capacity", [1, 3, 10, 2500])
def test_a_loaded_buffer_goes_on_identically(capacity):
    """The same generator draws the same transitions, after the same batches and priorities."""
    play, replay, loaded, rng = Play(1, stacks=False), make(capacity, 1), make(capacity, 1), np.random.default_rng(0)
    steps = -(-capacity // 2)
    for _ in range(3):
        ids = replay.add(play.batch(steps)).ravel()
        replay.update_priorities(ids, rng.random(len(ids)))
    loaded.load_state_dict(replay.state_dict())
    batch = play.batch(1, progress=0.5)
    for _ in range(3):
        sample, loaded_sample = (buffer.sample(30, np.random.default_rng(5)) for buffer in (replay, loaded))
        for left, right in zip(sample[1:], loaded_sample[1:], strict=True):
            np.testing.assert_array_equal(left, right)
        for buffer in (replay, loaded):
            buffer.update_priorities(sample[1], np.linspace(0, 2, 30))
            buffer.add(batch)
    np.testing.assert_equal(loaded.state_dict(), replay.state_dict())

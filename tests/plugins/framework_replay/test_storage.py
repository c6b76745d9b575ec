"""What is stored comes back: against plain lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from played import Play, context, plain, same

from framework.errors import FrameworkError
from framework_replay.storage import Storage


class Model(RuleBasedStateMachine):
    """Batches of any length, environments that start anew, saving and loading; every stored step is looked up."""

    @initialize(
        seed=st.integers(0, 1000),
        columns=st.integers(1, 3),
        rows=st.integers(1, 9),
        spare=st.integers(0, 2),
        n=st.integers(1, 4),
        end=st.sampled_from([0.0, 0.2, 1.0]),
        reset_steps=st.booleans(),
        share=st.booleans(),
    )
    def start(self, seed, columns, rows, spare, n, end, reset_steps, share):
        self.play = Play(columns, seed, end, reset_steps)
        self.rows, self.n = rows, n
        self.make = lambda: Storage(rows * columns + min(spare, columns - 1), n, share, context(columns))
        self.storage = self.make()
        self.ids = np.zeros((0, columns), np.int64)

    @rule(share=st.floats(0, 1), lost=st.sets(st.integers(0, 2)))
    def add(self, share, lost):
        steps = 1 + int(share * (self.rows - 1))
        batch = self.play.batch(steps, tuple(n for n in sorted(lost) if n < self.play.columns) if share > 0.8 else ())
        self.ids = np.concatenate((self.ids, self.storage.add(batch)))

    @precondition(lambda self: len(self.ids))
    @rule()
    def save_and_load(self):
        state = self.storage.state_dict()
        self.storage = self.make()
        self.storage.load_state_dict(state)

    @invariant()
    def everything_comes_back(self):
        if not hasattr(self, "ids"):
            return
        stored = self.ids[-self.rows :]
        stored = stored[stored >= 0]
        assert self.storage.size == len(stored)
        if not len(stored):
            return
        assert stored.min() >= self.storage.first_id
        assert stored.max() < self.storage.next_id
        transitions = self.storage.transitions(stored)
        for row, number in enumerate(stored):
            assert same(plain(transitions, row), self.play.expected(int(number), self.n))


TestModel = Model.TestCase
TestModel.settings = settings(derandomize=True, deadline=None, max_examples=40, stateful_step_count=12)


def test_ids_are_given_once_and_only_to_valid_steps():
    """Ids count up, row by row; a step that a vector environment spent on a reset gets -1."""
    play, storage = Play(2, end=0.5, reset_steps=True), Storage(8, 1, True, context(2))
    ids = np.concatenate([storage.add(play.batch(3)) for _ in range(4)])
    valid = np.array([[step.valid for step in row] for row in play.steps])
    assert not valid.all()
    np.testing.assert_array_equal(ids, np.where(valid, np.arange(24).reshape(12, 2), -1))


def test_a_truncated_episode_goes_on_behind_its_last_observation():
    """It is not terminated, and what follows is its true last observation, not the first of the next episode."""
    play = Play(1, end=1.0)
    storage = Storage(10, 3, True, context(1))
    storage.add(play.batch(10))
    cut = [number for number, (step,) in enumerate(play.steps) if not step.terminated]
    transitions = storage.transitions(np.array(cut))
    assert cut
    assert not transitions.terminated.any()
    assert transitions.steps.tolist() == [1] * len(cut)
    for row, number in enumerate(cut):
        assert transitions.next_observations["number"][row] == play.steps[number][0].after["number"]
        assert (
            transitions.next_observations["number"][row] != play.steps[number + 1][0].observation["number"]
            or number == 9
        )


def test_the_newest_steps_are_shorter_transitions():
    """A transition is sampled before all of its n steps are known, and grows as they come."""
    play, storage = Play(1, end=0.0), Storage(10, 4, True, context(1))
    storage.add(play.batch(3))
    assert storage.transitions(np.arange(3)).steps.tolist() == [3, 2, 1]
    storage.add(play.batch(2))
    assert storage.transitions(np.arange(5)).steps.tolist() == [4, 4, 3, 2, 1]


def test_nothing_goes_on_from_batch_to_batch_where_columns_may_be_others():
    """At lag "free" every batch ends its transitions, even where the next one happens to start with the same."""
    play = Play(2, end=0.0)
    storage = Storage(12, 4, True, context(2, policy_lag="free"))
    for _ in range(2):
        storage.add(play.batch(3))
    transitions = storage.transitions(np.arange(12))
    assert transitions.steps.tolist() == [3, 3, 2, 2, 1, 1] * 2
    for row in range(12):
        after = play.steps[2 if row < 6 else 5][row % 2].after
        assert all(np.array_equal(transitions.next_observations[name][row], after[name]) for name in after)


def test_samples_are_copies():
    """Neither writing to a sample nor to the batch after it was added changes what is stored."""
    play, storage = Play(1, end=0.3), Storage(8, 2, True, context(1))
    batch = play.batch(8)
    storage.add(batch)
    batch.observations["number"].zero_()
    batch.rewards.zero_()
    transitions = storage.transitions(np.arange(8))
    for tensor in (
        transitions.observations["frames"],
        transitions.next_observations["number"],
        transitions.rewards,
        transitions.extras["noise"],
    ):
        tensor.fill_(7)
    reread = storage.transitions(np.arange(8))
    assert all(same(plain(reread, row), play.expected(row, 2)) for row in range(8))


def test_a_batch_stays_as_it_is():
    """Adding changes nothing in the batch."""
    play, storage = Play(2), Storage(16, 2, True, context(2))
    batch, twin = play.batch(8), Play(2).batch(8)
    storage.add(batch)
    for name in ("actions", "rewards", "terminated", "first", "valid", "final_index"):
        assert torch.equal(getattr(batch, name), getattr(twin, name))
    assert all(torch.equal(batch.observations[name], twin.observations[name]) for name in twin.observations)


def test_dtypes_are_those_of_the_batch():
    """Images stay bytes, rewards float32, counts int64."""
    play, storage = Play(1), Storage(8, 2, True, context(1))
    storage.add(play.batch(8))
    transitions = storage.transitions(np.arange(4))
    assert transitions.observations["frames"].dtype == torch.uint8
    assert transitions.rewards.dtype == transitions.next_observations["number"].dtype == torch.float32
    assert transitions.steps.dtype == transitions.actions.dtype == torch.int64
    assert transitions.terminated.dtype == transitions.next_action_mask.dtype == torch.bool


def test_a_state_is_a_copy():
    """What happens after saving does not change what was saved."""
    play, storage = Play(1), Storage(4, 1, True, context(1))
    storage.add(play.batch(4))
    state = storage.state_dict()
    storage.add(play.batch(3))
    loaded = Storage(4, 1, True, context(1))
    loaded.load_state_dict(state)
    assert loaded.next_row == 4
    assert same(plain(loaded.transitions(np.array([0])), 0), play.expected(0, 1))


@pytest.mark.parametrize(
    ("capacity", "columns", "steps", "message"),
    [(7, 2, 4, "raise its capacity"), (1, 2, 1, "raise its capacity")],
)
def test_a_buffer_holds_at_least_one_batch(capacity, columns, steps, message):
    """Less is refused when the buffer is built."""
    with pytest.raises(FrameworkError, match=message):
        Storage(capacity, 1, True, context(columns, steps))


def test_batches_that_do_not_fit_are_refused():
    """Other numbers of environments, too many steps, other fields, and ends without a last observation."""
    storage = Storage(8, 1, True, context(2))
    with pytest.raises(FrameworkError, match="not 2 steps of 3"):
        storage.add(Play(3).batch(2))
    with pytest.raises(FrameworkError, match="not 5 steps of 2"):
        storage.add(Play(2).batch(5))
    batch = Play(2, end=0.0).batch(2)
    with pytest.raises(FrameworkError, match="1 ends of episodes, but 0 last observations"):
        Storage(8, 1, True, context(2)).add(evolve(batch, truncated=torch.tensor([[False, False], [True, False]])))
    storage.add(batch)
    with pytest.raises(FrameworkError, match="other fields"):
        storage.add(evolve(batch, extras={}))


def test_a_state_of_another_size_is_refused():
    """The message says what must stay as it was."""
    with pytest.raises(FrameworkError, match="capacity"):
        Storage(8, 1, True, context(2)).load_state_dict(Storage(6, 1, True, context(2)).state_dict())


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 99), st.integers(2, 30))
def test_saving_and_loading_is_exact(seed, rows):
    """A loaded buffer has the same state, and takes the next batch to the same state."""
    play, storage = Play(2, seed), Storage(2 * rows, 2, True, context(2))
    for _ in range(3):
        storage.add(play.batch(1 + rows // 2))
    loaded = Storage(2 * rows, 2, True, context(2))
    loaded.load_state_dict(storage.state_dict())
    batch = play.batch(2)
    np.testing.assert_equal(loaded.state_dict(), storage.state_dict())
    storage.add(batch)
    loaded.add(batch)
    np.testing.assert_equal(loaded.state_dict(), storage.state_dict())

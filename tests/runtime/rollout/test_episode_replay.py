from typing import Any

import numpy as np
import pytest
import tiny
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Hashed

from framework.runtime.rollout.episode_replay import _any_action, replay_episodes
from framework.runtime.rollout.episode_stats import EpisodeStats
from framework.runtime.rollout.stepped_vector import SteppedVector

LONGEST = 9

Episode = tuple[int, list[int]]  # seed, and the actions so far


def over(seed: int, actions: list[int]) -> bool:
    """Whether a fragile episode has ended with the last of these actions."""
    return len(actions) == tiny.length(seed, LONGEST) or (len(actions) > 0 and tiny.digest(seed, None, actions)[5] < 32)


class Fragile(Hashed):
    """Where actions are not those of its episode, it may end sooner; it takes no step after its end."""

    ended = False

    def reset(self, **kwargs: Any) -> Any:
        self.ended = False
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        assert not self.ended, "stepped after its end"
        observation, reward, *_ = super().step(action)
        self.ended = over(self.seed, self.actions)
        return observation, reward, self.ended, False, {}


class Counted(SteppedVector):
    """A vector that counts its steps."""

    steps = 0

    def step(self, actions: np.ndarray) -> None:
        self.steps += 1
        super().step(actions)


def replayed(episodes: list[Episode], make: Any = lambda: Fragile(LONGEST)) -> tuple[Counted, EpisodeStats]:
    """Environments and statistics once these episodes were played again."""
    vector, stats = Counted([make() for _ in episodes]), EpisodeStats(len(episodes))

    def reset(index: np.ndarray) -> None:
        vector.reset(index, [episodes[n][0] for n in index.tolist()], [None] * len(index))
        stats.begin(index)

    replay_episodes(vector, [np.array(actions, np.int64) for _, actions in episodes], reset, stats)
    return vector, stats


@st.composite
def episode(draw: st.DrawFn) -> Episode:
    """An episode of any length that is still going on."""
    seed = draw(st.integers(0, 10**6))
    count = draw(st.integers(0, LONGEST))
    actions = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    ends = (count for count in range(len(actions) + 1) if over(seed, actions[:count]))
    return seed, actions[: next(ends, len(actions) + 1) - 1]


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.lists(episode(), min_size=1, max_size=6))
def test_every_environment_arrives(episodes: list[Episode]) -> None:
    """At the observation that only its seed and all of its actions lead to, in as many steps as the longest has.

    Lengths differ, from none to that of the longest, and on the way some end that had not ended. Return and length are
    those of the episodes, to the last bit.
    """
    vector, stats = replayed(episodes)
    assert vector.steps == max(len(actions) for _, actions in episodes)
    for n, (seed, actions) in enumerate(episodes):
        np.testing.assert_array_equal(vector.observations["observation"][n], tiny.shown(seed, None, actions))
        total = 0.0
        for step in range(len(actions)):
            total += float(np.float32(tiny.reward(seed, None, actions[: step + 1])))
        assert (stats.returns[n], stats.lengths[n]) == (total, len(actions))


@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(st.lists(episode(), min_size=2, max_size=4))
def test_episodes_go_on_as_if_nothing_had_happened(episodes: list[Episode]) -> None:
    """The next step leads where it would have led."""
    vector, _ = replayed(episodes)
    vector.step(np.ones(len(episodes), np.int64))
    for n, (seed, actions) in enumerate(episodes):
        np.testing.assert_array_equal(vector.observations["observation"][n], tiny.shown(seed, None, [*actions, 1]))
        assert vector.terminated[n] == over(seed, [*actions, 1])


def test_what_ends_on_the_way_starts_again() -> None:
    """A shorter episode's environment takes other actions first, which may end it; nobody steps what is over."""
    long = next(seed for seed in range(1000) if not any(over(seed, [0] * count) for count in range(9)))
    # Of 8 steps an episode of 3 is played in the last 3; the first of the long one is taken in the 5 before.
    short = next(
        seed
        for seed in range(10_000)
        if over(seed, [0, 0]) and not any(over(seed, [1, 1, 0][:count]) for count in range(4))
    )
    vector, stats = replayed([(long, [0] * 8), (short, [1, 1, 0])])
    np.testing.assert_array_equal(vector.observations["observation"][1], tiny.shown(short, None, [1, 1, 0]))
    assert stats.lengths.tolist() == [8, 3]


@pytest.mark.parametrize(
    ("space", "legal", "illegal"),
    [
        (Discrete(3, start=5), np.array([0, 0, 1]), 5),
        (MultiDiscrete([2, 3], start=[4, 0]), np.array([0, 1, 0, 1, 0]), [4, 0]),
    ],
    ids=["discrete", "multi"],
)
def test_only_legal_actions_are_taken(space: Any, legal: np.ndarray, illegal: Any) -> None:
    """Also before an episode starts, and where none does: there are environments that bear no others."""

    class Strict(Hashed):
        action_space = space

        def __init__(self, mask: np.ndarray):
            super().__init__(2**40)
            self.mask = mask

        def reset(self, **kwargs: Any) -> Any:
            return super().reset(**kwargs)[0], {"action_mask": self.mask}

        def step(self, action: Any) -> Any:
            first = np.array(action) - space.start
            offsets = np.cumsum([0, 3] if isinstance(space, Discrete) else [0, 2])[: first.size]
            assert self.mask[offsets + first.ravel()].all(), f"{action} is illegal"
            observation, *results, _ = super().step(0)
            return observation, *results, {"action_mask": self.mask}

    all_legal = np.ones_like(legal)
    vector, stats = SteppedVector([Strict(all_legal), Strict(legal), Strict(legal)]), EpisodeStats(3)
    allowed = [7] if isinstance(space, Discrete) else [5, 1]
    actions = [np.array([illegal] * 4), np.array([np.squeeze(allowed)] * 2), np.empty(0)]

    def reset(index: np.ndarray) -> None:
        vector.reset(index, [60] * len(index), [None] * len(index))
        stats.begin(index)

    replay_episodes(vector, actions, reset, stats)
    assert stats.lengths.tolist() == [4, 2, 0]


def test_of_several_parts_the_choices_are_legal() -> None:
    """Before an episode starts the first legal choice is taken, beside whatever the other parts are."""
    space = Dict({"kind": Tuple((Box(-1, 1, (1,)), Discrete(3, start=5))), "pick": MultiDiscrete([2, 3])})
    vector = SteppedVector([Hashed(3)])
    vector.action_space = space
    vector.prepare_masks(True)
    vector.read_mask(0, {"action_mask": {"kind": (None, [0, 1, 1]), "pick": ([0, 1], [0, 0, 1])}})
    like = np.array([0.5, 0, 0, 0], np.float32)
    assert _any_action(vector, 0, like).tolist() == [0.5, 1, 1, 2]
    assert like.tolist() == [0.5, 0, 0, 0]


def test_a_short_episode_is_started_twice_however_long_the_others_are() -> None:
    """At first, so that its environment can be stepped at all, and when it is its turn: a reset may take long."""
    resets: list[list[int]] = []
    vector, stats = SteppedVector([Hashed(2**40) for _ in range(3)]), EpisodeStats(3)

    def reset(index: np.ndarray) -> None:
        resets.append(index.tolist())
        vector.reset(index, [60] * len(index), [None] * len(index))

    replay_episodes(vector, [np.zeros(length, np.int64) for length in (50, 3, 0)], reset, stats)
    assert resets == [[0, 1, 2], [1], [2]]


def test_episodes_that_have_just_begun_take_no_step() -> None:
    """None of them has an action: the environments are only reset."""
    vector, stats = replayed([(4, []), (5, [])])
    assert vector.steps == 0
    np.testing.assert_array_equal(vector.observations["observation"][1], tiny.shown(5, None, []))
    assert stats.lengths.tolist() == [0, 0]


def test_actions_of_any_shape_are_played() -> None:
    """Those of a box, where an environment without actions gets some of another's for the time being."""

    class Summing(Hashed):
        action_space = Box(-1, 1, (2,), np.float32)  # type: ignore[assignment]

        def step(self, action: Any) -> Any:
            self.total = getattr(self, "total", np.zeros(2)) + action
            return self.total.astype(np.float32), 0.0, False, False, {}

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            self.total = np.zeros(2)
            return np.zeros(2, np.float32), {}

        observation_space = Box(-9, 9, (2,), np.float32)

    vector, stats = SteppedVector([Summing() for _ in range(3)]), EpisodeStats(3)
    actions = [np.full((length, 2), 0.25, np.float32) for length in (4, 0, 3)]
    replay_episodes(vector, actions, lambda index: vector.reset(index, [0] * len(index), [None] * len(index)), stats)
    assert vector.observations["observation"].tolist() == [[1.0, 1.0], [0.0, 0.0], [0.75, 0.75]]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_environment_that_ends_where_it_did_not_is_no_error(at: int) -> None:
    """It is not deterministic; whoever compares observations finds out, and the others arrive all the same."""

    class Ending(Hashed):
        def step(self, action: Any) -> Any:
            observation, reward, _, truncated, info = super().step(action)
            return observation, reward, len(self.actions) >= at, truncated, info

    environments = iter([Ending(LONGEST), Hashed(LONGEST)])
    vector, _ = replayed([(8, [1, 0, 1]), (17, [0, 0, 1, 1])], lambda: next(environments))
    np.testing.assert_array_equal(vector.observations["observation"][1], tiny.shown(17, None, [0, 0, 1, 1]))

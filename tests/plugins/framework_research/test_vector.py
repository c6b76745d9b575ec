"""The vector version is many single environments, step for step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from framework.errors import RunError
from framework_research.browser.rules import ACTIONS
from framework_research.environment import ResearchEnv
from framework_research.vector import ResearchVectorEnv

COUNT = 16


def some_actions(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A legal action for each row, and now and then any."""
    rank = (rng.random(len(masks)) * masks.sum(1)).astype(np.int64)
    actions = (masks.cumsum(1) > rank[:, None]).argmax(1)
    return np.where(rng.random(len(masks)) < 0.05, rng.integers(0, ACTIONS, len(masks)), actions)


def assert_same(observation: Any, expected: tuple[Any, int]) -> None:
    """Equal, to the last bit, to one place of a batch: ``(batch, place)``."""
    batch, place = expected
    if isinstance(batch, dict):
        for name, array in batch.items():
            np.testing.assert_array_equal(observation[name], array[place])
    else:
        np.testing.assert_array_equal(observation, batch[place])


def agree(steps: int, level: float, mode: str = "state") -> None:
    """Play both, with resets by mask, seeds and tasks, and compare everything."""
    options = {"task_complexity": level, "max_steps": 40, "observation_mode": mode}
    vector, singles = ResearchVectorEnv(COUNT, **options), [ResearchEnv(**options) for _ in range(COUNT)]
    rng, seed = np.random.default_rng(0), COUNT
    observations, infos = vector.reset(seed=list(range(COUNT)))
    for at, single in enumerate(singles):
        assert_same(single.reset(seed=at)[0], (observations, at))
    for _ in range(steps):
        actions = some_actions(infos["action_mask"], rng)
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        ended = terminated | truncated
        for at, single in enumerate(singles):
            observation, reward, *over, info = single.step(actions[at])
            assert_same(observation, (observations, at))
            np.testing.assert_array_equal(info["action_mask"], infos["action_mask"][at])
            assert (reward, *over) == (rewards[at], terminated[at], truncated[at])
            if ended[at]:
                assert info["success"] == infos["success"][at]
                assert info["metrics"] == {"efficiency": infos["metrics"]["efficiency"][at]}
            for key, values in {"success": infos, "metrics": infos, "efficiency": infos.get("metrics", {})}.items():
                assert bool(values.get(f"_{key}", ended)[at]) == ended[at]
        if ended.any():
            seeds, tasks = [None] * COUNT, [None] * COUNT
            for at in np.flatnonzero(ended):
                seeds[at], tasks[at] = seed, [None, 0.3, {"level": 0.1, "seed": seed // 2}][seed % 3]
                single, _ = singles[at].reset(seed=seed, options={"task": tasks[at]})
                seed += 1
            waiting = observations
            observations, infos = vector.reset(seed=seeds, options={"reset_mask": ended, "tasks": tasks})
            assert_same(single, (observations, np.flatnonzero(ended)[-1]))
            for at in np.flatnonzero(~ended):
                several = isinstance(observations, dict)
                row = {name: x[at] for name, x in observations.items()} if several else observations[at]
                assert_same(row, (waiting, at))


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_vector_equals_single(level: float) -> None:
    """Observations, rewards, ends, masks and success, through resets and illegal actions."""
    agree(150, level)


@pytest.mark.parametrize("mode", ["multimodal", "text", "text+figure", "image"])
def test_vector_equals_single_in_other_modes(mode: str) -> None:
    """The same with pictures, with words, and with observations of several parts."""
    agree(100, 0.7, mode)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.0, 0.2, 0.5, 0.7, 1.0])
def test_vector_equals_single_for_long(level: float) -> None:
    """As above, over 100,000 steps in all."""
    agree(100_000 // COUNT // 5 + 1, level)


def test_seeds_of_a_vector() -> None:
    """One number seeds successive environments; without a seed, each reset is another world."""
    first, second = (ResearchVectorEnv(3, observation_mode="state") for _ in range(2))
    np.testing.assert_array_equal(first.reset(seed=5)[0], second.reset(seed=[5, 6, 7])[0])
    assert (first.reset()[0] != first.reset()[0]).any(axis=(1, 2)).all()


def test_a_vector_takes_an_action_for_each() -> None:
    """Another number of them is an error, and any before all have begun."""
    vector = ResearchVectorEnv(3)
    vector.reset(options={"reset_mask": np.array([True, True, False])})
    with pytest.raises(ResetNeeded, match="no episode yet"):
        vector.step(np.zeros(3, np.int64))
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="each of 3 environments"):
        vector.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("seed", [5, [5, 6, 7]])
def test_episodes_without_seeds_follow_from_the_first(seed) -> None:
    """So a run of resets can be repeated, as with one environment alone."""

    def worlds() -> list[bytes]:
        vector = ResearchVectorEnv(3)
        vector.reset(seed=seed)
        return [(vector.reset(), vector.episodes.worlds.tobytes())[1] for _ in range(2)]

    first = worlds()
    assert first == worlds()
    assert first[0] != first[1]


def test_resets_that_there_are_not() -> None:
    """Lists of another length, seeds below 0, and pictures, which many at once do not draw."""
    vector = ResearchVectorEnv(3)
    with pytest.raises(ValueError, match="expected a seed for each of 3 environments, not 2"):
        vector.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="expected a task for each of 3 environments, not 1"):
        vector.reset(options={"tasks": [0.5]})
    with pytest.raises(RunError, match="seed of a world must be an integer"):
        vector.reset(seed=[1, -1, 2])
    with pytest.raises(RunError, match="draw nothing"):
        ResearchVectorEnv(3, render_mode="ansi")

"""Observations of which some entries are kept."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from framework.errors import PipelineError
from framework.interfaces import EnvironmentContext
from framework_gymnasium.config import GymnasiumConfig
from framework_gymnasium.environment import GymnasiumEnvironment
from framework_gymnasium.keep_entries import KeepEntries

NAME = "KeepEntries"


def wrapped(id: str = "CartPole-v1", **arguments: object) -> gymnasium.Env:
    config = GymnasiumConfig(id=id, wrappers=({"use": NAME, **arguments},))
    return GymnasiumEnvironment(config, EnvironmentContext(seed=0)).make()


@pytest.mark.parametrize("indices", [[0, 2], [3], [2, 0, -1]])
def test_the_entries_are_those_of_the_plain_environment(indices: list[int]) -> None:
    """Step by step, across the ends of episodes; the space has their bounds."""
    kept, plain = wrapped(indices=indices), gymnasium.make("CartPole-v1")
    np.testing.assert_array_equal(kept.observation_space.low, plain.observation_space.low[indices])
    np.testing.assert_array_equal(kept.observation_space.high, plain.observation_space.high[indices])
    assert kept.observation_space.dtype == np.float32
    for episode in range(3):
        whole = plain.reset(seed=episode)[0]
        np.testing.assert_array_equal(kept.reset(seed=episode)[0], whole[indices])
        done = False
        while not done:
            whole, *rest, _ = plain.step(1)
            observation, *results, _ = kept.step(1)
            np.testing.assert_array_equal(observation, whole[indices])
            assert observation in kept.observation_space
            assert results == rest
            done = any(rest[1:])


@pytest.mark.parametrize(
    ("id", "indices", "message"),
    [
        ("CartPole-v1", [0, 4], r"some of its 4 entries, 0 to 3, not \[0, 4\]"),
        ("CartPole-v1", [], r"some of its 4 entries"),
        ("FrozenLake-v1", [0], r"not a Box with one axis"),
    ],
)
def test_entries_that_are_not_there_are_refused(id: str, indices: list[int], message: str) -> None:
    """The pipeline is told which wrapper, and what there is."""
    with pytest.raises(PipelineError, match=message) as raised:
        wrapped(id, indices=indices)
    assert "wrappers.0" in str(raised.value)


def test_what_is_kept_does_not_change_later() -> None:
    """An observation is a copy: an environment may write into the one that it gave."""
    kept = KeepEntries(gymnasium.make("CartPole-v1"), [0])
    whole = np.zeros(4, np.float32)
    observation = kept.observation(whole)
    whole[:] = 1
    assert observation.tolist() == [0.0]

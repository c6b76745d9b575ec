from typing import Any

import numpy as np
import pytest
from environments import all_of, steps

from framework.errors import PipelineError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework_gymnasium.config import EnvPoolConfig
from framework_gymnasium.pool import EnvPoolEnvironment

pytest.importorskip("envpool")


def build(**options: Any) -> EnvPoolEnvironment:
    return EnvPoolEnvironment(EnvPoolConfig(**{"id": "CartPole-v1", **options}), EnvironmentContext(seed=0))


def test_a_pool_marks_the_steps_that_only_reset() -> None:
    """The step after an episode's end is not valid, and shows the next episode's first observation."""
    vector = make_vector(build(), 4)
    assert vector.self_resetting
    assert not vector.replayable
    vector.reset(*all_of(4))
    invalid = 0
    for _ in range(40):
        ended = vector.terminated | vector.truncated
        steps(vector, 1)
        np.testing.assert_array_equal(vector.valid, ~ended)
        assert (np.abs(vector.observations["observation"][ended]) <= 0.05).all()
        invalid += ended.sum()
    assert invalid > 4


def test_single_environments_can_be_replayed() -> None:
    """With ``native = false`` an episode is a function of its seed."""
    vector = make_vector(build(native=False), 2)
    assert vector.replayable
    vector.reset(np.arange(2), [3, 4], [None] * 2)
    steps(vector, 5)
    before = vector.observations["observation"].copy()
    vector.reset(np.arange(2), [4, 3], [None] * 2)
    steps(vector, 5)
    np.testing.assert_array_equal(vector.observations["observation"], before[::-1])
    assert (before[0] != before[1]).any()


def test_options_reach_the_pool() -> None:
    """Its time limit, and what is unknown is refused with a suggestion."""
    vector = make_vector(build(id="Pendulum-v1", max_episode_steps=3), 2)
    vector.reset(*all_of(2))
    for _ in range(3):
        vector.step(np.zeros((2, 1), np.float32))
    assert vector.truncated.all()
    with pytest.raises(PipelineError, match=r"EnvPool knows no environment CartPol-v1; did you mean CartPole-v1\?"):
        build(id="CartPol-v1")


@pytest.mark.parametrize("native", [True, False])
def test_actions_may_be_real_numbers(native: bool) -> None:
    """MuJoCo's environments in a pool: actions in their bounds, and episodes that are cut off are truncated."""
    vector = make_vector(build(id="HalfCheetah-v4", native=native, max_episode_steps=4), 2)
    assert vector.action_space.shape == (6,)
    vector.reset(*all_of(2))
    for _ in range(4):
        assert not vector.truncated.any()
        vector.step(np.full((2, 6), 0.5, vector.action_space.dtype))
    assert vector.truncated.all()
    assert not vector.terminated.any()
    assert np.isfinite(vector.observations["observation"]).all()

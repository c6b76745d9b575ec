"""One environment: its tasks, what it needs, and how the framework makes it."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from framework.errors import RunError
from framework.interfaces import EnvironmentContext
from framework_research.config import ResearchConfig
from framework_research.environment import ResearchEnv, ResearchEnvironment


def test_a_generated_task_is_played() -> None:
    """It is the world of that level and seed, whatever the environment's own are."""
    environment = ResearchEnv(task_complexity=0.9, observation_mode="state")
    task = environment.generate_task(0.3, 7)
    assert task == {"level": 0.3, "seed": 7}
    observation, _ = environment.reset(seed=1, options={"task": task})
    alone = ResearchEnv(task_complexity=0.3, observation_mode="state")
    np.testing.assert_array_equal(observation, alone.reset(seed=7)[0])


@pytest.mark.parametrize("level", [1.5, -0.1, float("nan"), "hard", True])
def test_levels_that_there_are_not(level) -> None:
    """One beyond 0 and 1, or that is no number, is refused at once."""
    with pytest.raises(RunError, match="a task must be a level from 0 to 1"):
        ResearchEnv().generate_task(level, 0)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, None, True])
def test_seeds_that_there_are_not(seed) -> None:
    """One that is no number from 0 on is refused at once."""
    with pytest.raises(RunError, match=r"the seed of a world must be an integer from 0 to 2\^64 - 1, not"):
        ResearchEnv().generate_task(0.5, seed)


def test_tasks_of_numpy_numbers() -> None:
    """They are numbers, too, and come out as Python's."""
    task = ResearchEnv().generate_task(np.float32(0.5), np.int64(7))
    assert task == {"level": 0.5, "seed": 7}
    assert [type(value) for value in task.values()] == [float, int]


@pytest.mark.parametrize("mode", [None, "ansi"])
def test_nothing_happens_before_a_reset(mode) -> None:
    """Neither an action nor a picture: both say what is missing."""
    environment = ResearchEnv(render_mode=mode)
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        environment.step(0)
    if mode:
        with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
            environment.render()


def test_the_component_draws_where_it_should() -> None:
    """As the context says, like `framework eval --video`; otherwise there is nothing to render."""
    rendering = ResearchEnvironment(ResearchConfig(), EnvironmentContext(seed=0, render_mode="rgb_array")).make()
    rendering.reset(seed=0)
    assert rendering.render().shape == (480, 800, 3)
    plain = ResearchEnvironment(ResearchConfig(), EnvironmentContext(seed=0)).make()
    plain.reset(seed=0)
    assert plain.render() is None

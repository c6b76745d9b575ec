"""The environment by its id, as those use it who know Gymnasium alone."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from framework.errors import RunError
from framework_research.environment import ResearchEnv
from framework_research.vector import ResearchVectorEnv

ID = "framework_research.registration:framework/Research-v0"
OPTIONS = {
    "task_complexity": 0.3,
    "observation_mode": "state",
    "reward_shaping": "sparse",
    "max_steps": 5,
    "split": "test",
}


def test_an_id_makes_one() -> None:
    """With its options, and the same observations as the class itself; Gymnasium's own checks find no fault."""
    made, alone = gymnasium.make(ID, **OPTIONS), ResearchEnv(**OPTIONS)
    assert isinstance(made.unwrapped, ResearchEnv)
    assert made.unwrapped.config == alone.config
    observation, info = made.reset(seed=3)
    np.testing.assert_array_equal(observation, alone.reset(seed=3)[0])
    for step in range(5):
        action = int(np.flatnonzero(info["action_mask"])[0])
        observation, reward, _, truncated, info = made.step(action)
        expected = alone.step(action)
        np.testing.assert_array_equal(observation, expected[0])
        assert (reward, truncated) == (expected[1], step == 4)


def test_an_id_makes_many() -> None:
    """The vector version of its own, or single ones stepped one after the other."""
    vector = gymnasium.make_vec(ID, 3, **OPTIONS)
    assert isinstance(vector, ResearchVectorEnv)
    stepped = gymnasium.make_vec(ID, 3, vectorization_mode="sync", **OPTIONS)
    observations, infos = vector.reset(seed=[4, 5, 6])
    others, other_infos = stepped.reset(seed=[4, 5, 6])
    for _ in range(5):
        np.testing.assert_array_equal(observations, others)
        actions = infos["action_mask"].argmax(1)
        np.testing.assert_array_equal(infos["action_mask"], np.stack(list(other_infos["action_mask"])))
        observations, _, _, truncated, infos = vector.step(actions)
        others, _, _, _, other_infos = stepped.step(actions)
    assert truncated.all()
    for key in ("efficiency", "_efficiency"):
        np.testing.assert_array_equal(infos["metrics"][key], other_infos["metrics"][key])
    np.testing.assert_array_equal(infos["_metrics"], other_infos["_metrics"])


def test_registering_is_light() -> None:
    """It imports neither what worlds are made with nor what learns."""
    program = (
        "import sys, gymnasium, framework_research.registration\n"
        "assert 'framework/Research-v0' in gymnasium.registry\n"
        "assert not {'numba', 'torch', 'framework_research.environment'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_generated_task_is_played() -> None:
    """It is the world of that level and seed, whatever the environment's own are."""
    environment = gymnasium.make(ID, task_complexity=0.9, observation_mode="state")
    task = environment.unwrapped.generate_task(0.3, 7)
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

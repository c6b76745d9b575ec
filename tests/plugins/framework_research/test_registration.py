"""The environment by its id, as those use it who know Gymnasium alone."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np

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
    registered, alone = gymnasium.make(ID, **OPTIONS), ResearchEnv(**OPTIONS)
    assert isinstance(registered.unwrapped, ResearchEnv)
    assert registered.unwrapped.config == alone.config
    observation, info = registered.reset(seed=3)
    np.testing.assert_array_equal(observation, alone.reset(seed=3)[0])
    for step in range(5):
        action = int(np.flatnonzero(info["action_mask"])[0])
        observation, reward, _, truncated, info = registered.step(action)
        expected = alone.step(action)
        np.testing.assert_array_equal(observation, expected[0])
        assert (reward, truncated) == (expected[1], step == 4)


def test_an_id_makes_many() -> None:
    """The vector version of its own, or single ones stepped one after the other."""
    vector = gymnasium.make_vec(ID, 3, **OPTIONS)
    assert isinstance(vector, ResearchVectorEnv)
    stepped = gymnasium.make_vec(ID, 3, vectorization_mode="sync", **OPTIONS)
    observations, infos = vector.reset(seed=[4, 5, 6])
    stepped_observations, stepped_infos = stepped.reset(seed=[4, 5, 6])
    for _ in range(5):
        np.testing.assert_array_equal(observations, stepped_observations)
        actions = infos["action_mask"].argmax(1)
        np.testing.assert_array_equal(infos["action_mask"], np.stack(list(stepped_infos["action_mask"])))
        observations, _, _, truncated, infos = vector.step(actions)
        stepped_observations, _, _, _, stepped_infos = stepped.step(actions)
    assert truncated.all()
    for key in ("efficiency", "_efficiency"):
        np.testing.assert_array_equal(infos["metrics"][key], stepped_infos["metrics"][key])
    np.testing.assert_array_equal(infos["_metrics"], stepped_infos["_metrics"])


def test_registering_is_light() -> None:
    """It imports neither what worlds are made with nor what learns."""
    program = (
        "import sys, gymnasium, framework_research.registration\n"
        "assert 'framework/Research-v0' in gymnasium.registry\n"
        "assert not {'numba', 'torch', 'framework_research.environment'} & set(sys.modules)\n"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.stderr == ""

from __future__ import annotations

import importlib.util
from typing import Any

import gymnasium
import numpy as np
import pytest

from framework.errors import PipelineError
from framework.interfaces import EnvironmentContext
from framework_gymnasium.config import GymnasiumConfig
from framework_gymnasium.environment import GymnasiumEnvironment

pytestmark = [
    pytest.mark.skipif(not all(map(importlib.util.find_spec, ("dm_control", "shimmy"))), reason="needs dm-control"),
    pytest.mark.filterwarnings("ignore"),  # of importing it: of displays that are not there
]


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing dm_control looks for a display otherwise."""
    monkeypatch.setenv("MUJOCO_GL", "disable")


def build(id: str = "dm_control/cartpole-swingup-v0", **options: Any) -> gymnasium.Env[Any, Any]:
    return GymnasiumEnvironment(GymnasiumConfig(id=id, **options), EnvironmentContext(seed=0)).make()


def test_tasks_are_environments_by_their_id() -> None:
    """`shimmy` registers them; an episode is a function of its seed, and is truncated by dm_control's time limit."""
    environment = build()
    assert sorted(environment.observation_space.spaces) == ["position", "velocity"]
    episodes = []
    for seed in (1, 2, 1):
        observation, _ = environment.reset(seed=seed)
        rows, ends = [np.concatenate(list(observation.values()))], [(False, False)]
        while ends[-1] == (False, False):
            observation, _, *flags, _ = environment.step(np.full(1, 0.3))
            rows.append(np.concatenate(list(observation.values())))
            ends.append(tuple(flags))
        episodes.append(np.array(rows))
        assert ends[-1] == (False, True)
        assert len(rows) == 1001
    np.testing.assert_array_equal(episodes[0], episodes[2])
    assert (episodes[0][0] != episodes[1][0]).any()


def test_wrappers_and_mistakes_are_as_everywhere() -> None:
    """One vector of what is observed, repeated actions, and what was meant by an unknown id."""
    environment = build(wrappers=("FlattenObservation", {"use": "RepeatAction", "num_repeats": 4}))
    observation, _ = environment.reset(seed=0)
    assert environment.observation_space.shape == observation.shape == (5,)
    with pytest.raises(PipelineError, match=r"did you mean dm_control/cartpole-swingup-v0\?"):
        build("dm_control/cartpol-swingup-v0")

"""Environments that are a `gymnasium.Env`, named by a pipeline."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from framework.errors import PipelineError
from framework.interfaces import EnvironmentContext
from framework.plain_environment import factory_of, is_environment
from framework.schema import options, plain, structure
from framework.testing import subject


class Rooms(gymnasium.Env[Any, Any]):
    """Rooms with walls."""

    observation_space = Box(-1, 1, (3,))
    action_space = Discrete(2)

    def __init__(
        self,
        size: int,
        slope: float = 1,
        name: str | None = None,
        walls=(1, 2),
        noise: np.ndarray = np.zeros(2),  # noqa: B008  no plain value
        render_mode: str | None = None,
        **more: Any,
    ):
        self.given = (size, slope, name, walls, noise.sum(), render_mode, more)
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(3, np.float32), 0.0, False, False, {}


class Limited(Rooms):
    def __init__(self, max_episode_steps: int = 7):
        super().__init__(1)
        self.limit = max_episode_steps


def build(cls: type, table: dict[str, Any], render_mode: str | None = None) -> Any:
    factory = factory_of(cls)
    config, problems = structure(factory.Config, table, "environment")
    assert not problems, problems
    return factory(config, EnvironmentContext(seed=0, render_mode=render_mode)).make()


def test_arguments_of_the_constructor_are_options() -> None:
    """Of the annotated types, with the defaults; what is no plain value keeps its default, and the kernel renders."""
    keys = {key: hint for key, (_, hint) in options(factory_of(Rooms).Config).items()}
    assert keys == {
        "size": int,
        "slope": float,
        "name": str | None,
        "walls": Any,
        "max_episode_steps": int | None,
    }
    environment = build(Rooms, {"size": 3, "name": "hall"}, render_mode="rgb_array")
    assert environment.given == (3, 1.0, "hall", [1, 2], 0.0, "rgb_array", {})
    assert build(Rooms, {"size": 3, "walls": [4]}).given[3] == [4]


def test_what_is_wrong_is_told_as_of_any_component() -> None:
    """Missing arguments, wrong types and unknown names, each with its key."""
    _, problems = structure(factory_of(Rooms).Config, {"slope": "steep", "nam": "x"}, "environment")
    assert [str(problem) for problem in problems] == [
        "environment.nam: unknown key; did you mean name?",
        "environment.size: missing: Argument size of Rooms.",
        'environment.slope: expected a number, not "steep"',
    ]


def test_options_survive_being_written_down() -> None:
    """Plain values that make the same configuration."""
    cls = factory_of(Rooms).Config
    config, _ = structure(cls, {"size": 3}, "")
    assert structure(cls, plain(config))[0] == config


def test_episodes_may_be_cut() -> None:
    """By a time limit, unless the constructor has an argument of that name itself."""
    environment = build(Rooms, {"size": 1, "max_episode_steps": 2})
    environment.reset(seed=0)
    assert [environment.step(0)[3] for _ in range(2)] == [False, True]
    assert build(Limited, {"max_episode_steps": 3}).limit == 3


def test_other_classes_are_no_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """And before gymnasium was imported none is."""
    assert is_environment(Rooms)
    assert not is_environment(dict)
    monkeypatch.delitem(sys.modules, "gymnasium")
    assert not is_environment(Rooms)


def test_a_pipeline_may_name_one(tmp_path: Any) -> None:
    """In a file beside it; its own options are checked before anything is made."""
    (tmp_path / "rooms.py").write_text(
        "import gymnasium\n"
        "class Rooms(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Discrete(3)\n"
        "    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def __init__(self, size=3): self.size = size\n"
    )
    environment = subject("environment", "rooms:Rooms", {"size": 5}, directory=tmp_path)
    assert environment.chosen.to_plain() == {"use": "rooms:Rooms", "size": 5}
    made = environment.build(EnvironmentContext(seed=0, render_mode=None)).make()
    assert made.size == 5
    with pytest.raises(PipelineError, match=r"environment\.sise: unknown key; did you mean size\?"):
        subject("environment", "rooms:Rooms", {"sise": 5}, directory=tmp_path)

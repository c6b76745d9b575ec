from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.errors import PluginError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework.runtime.rollout.vector import Vector
from framework_gymnasium.config import GymnasiumConfig
from framework_gymnasium.environment import GymnasiumEnvironment
from framework_gymnasium.mujoco import compiled_quietly

mujoco = pytest.importorskip("mujoco")


def build(id: str = "HalfCheetah-v5", render_mode: str | None = None, **options: Any) -> GymnasiumEnvironment:
    return GymnasiumEnvironment(GymnasiumConfig(id=id, **options), EnvironmentContext(seed=0, render_mode=render_mode))


def play(vector: Vector, seeds: list[int], actions: np.ndarray) -> np.ndarray:
    """Observations, rewards and ends of episodes from their seeds, up to their ends."""
    vector.reset(np.arange(len(seeds)), seeds, [None] * len(seeds))
    rows = []
    for row in actions:
        vector.step(row)
        ends = np.stack([vector.rewards, vector.terminated, vector.truncated], 1)
        rows.append(np.concatenate([vector.observations["observation"], ends], 1))
    return np.array(rows)


@pytest.mark.parametrize(
    "id",
    [
        "HalfCheetah-v5",
        "Ant-v5",  # its reward is from positions of bodies, which MuJoCo computes a step late
        *(
            pytest.param(f"{name}-v5", marks=pytest.mark.slow)
            for name in ("Hopper", "Walker2d", "Humanoid", "HumanoidStandup", "Swimmer", "Reacher", "Pusher")
        ),
    ],
)
def test_an_episode_is_a_function_of_its_seed(id: str) -> None:
    """Played again in another row, by an environment that has played on, it is the same to the last bit."""
    vector = make_vector(build(id), 2)
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 2, *vector.action_space.shape)).astype(np.float32)
    first = play(vector, [3, 4], actions)
    again = play(vector, [4, 3], actions[:, ::-1])
    assert vector.replayable
    np.testing.assert_array_equal(first, again[:, ::-1])
    assert (first[:, 0] != first[:, 1]).any()


def test_time_limits_truncate_and_falls_terminate() -> None:
    """HalfCheetah's episodes are cut off; Hopper falls."""
    cheetah = make_vector(build(max_episode_steps=3), 1)
    ends = play(cheetah, [0], np.zeros((3, 1, 6), np.float32))[:, 0, -2:]
    assert ends.tolist() == [[0, 0], [0, 0], [0, 1]]
    hopper = build("Hopper-v5").make()
    hopper.reset(seed=0)
    flags = [(False, False)]
    while flags[-1] == (False, False):
        flags.append(hopper.step(np.ones(3, np.float32))[2:4])
    assert flags[-1] == (True, False)


def test_nothing_is_said_of_what_gymnasiums_models_use(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning and a line in a file for each environment would be many; the handler that was there comes back."""
    monkeypatch.chdir(tmp_path)
    before = mujoco.get_mju_user_warning()
    build().make()
    assert mujoco.get_mju_user_warning() is before
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_other_warnings_of_mujoco_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As warnings of Python; without MuJoCo there is nothing to quieten."""
    with compiled_quietly():
        handler = mujoco.get_mju_user_warning()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            handler("compiler attribute 'settotalmass' is deprecated")
        with pytest.warns(RuntimeWarning, match="MuJoCo: mass is negative"):
            handler("mass is negative")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with compiled_quietly():
        pass


@pytest.mark.parametrize(
    ("variables", "render_mode", "drawn_with"),
    [
        ({}, "rgb_array", "egl"),
        ({}, None, None),
        ({"DISPLAY": ":0"}, "rgb_array", None),
        ({"MUJOCO_GL": "osmesa"}, "rgb_array", "osmesa"),
    ],
)
def test_films_need_no_display(
    variables: dict[str, str], render_mode: str | None, drawn_with: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is, MuJoCo draws by EGL, unless the user has chosen; environments that draw nothing change nothing."""
    monkeypatch.setenv("MUJOCO_GL", "")  # which has it put back as it was
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    build(render_mode=render_mode).make()
    assert os.environ.get("MUJOCO_GL") == drawn_with


def test_a_broken_installation_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What MuJoCo says of itself is shown: after one version was installed over another, it knows the mend."""

    for module in [name for name in sys.modules if name.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, module)
    environment = build()
    monkeypatch.setattr("builtins.__import__", _refusing("mujoco", ImportError("its core bindings are missing")))
    with pytest.raises(PluginError, match="HalfCheetah-v5 needs a package that cannot be imported: its core bindings"):
        environment.make()


def _refusing(refused: str, error: ImportError) -> Any:
    """An import function that raises ``error`` for one module."""
    import_module = __import__

    def refusing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == refused:
            raise error
        return import_module(name, *arguments, **options)

    return refusing

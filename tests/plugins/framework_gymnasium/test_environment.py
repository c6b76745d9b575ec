import sys
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from environments import all_of

from framework.errors import PipelineError, PluginError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.schema import OptionError, structure
from framework_gymnasium.config import GymnasiumConfig
from framework_gymnasium.environment import GymnasiumEnvironment


def build(render_mode: str | None = None, **options: Any) -> GymnasiumEnvironment:
    return GymnasiumEnvironment(GymnasiumConfig(**options), EnvironmentContext(seed=0, render_mode=render_mode))


def wrappers_of(environment: gymnasium.Env) -> list[str]:
    names = []
    while isinstance(environment, gymnasium.Wrapper):
        names.append(type(environment).__name__)
        environment = environment.env
    return names[::-1]


def test_an_id_of_a_module_is_registered_by_importing_it() -> None:
    """``module:Id-v0`` works for any importable module."""
    environment = build(id="framework.testing.probes:Probe3-v0", kwargs={"observation": "image"}).make()
    assert environment.unwrapped.number == 3
    assert environment.observation_space.shape == (36, 36, 1)


def test_wrappers_are_applied_in_order_without_the_checker() -> None:
    """Names of gymnasium.wrappers, tables with arguments, and ``module:Class``; arrays become tuples."""
    environment = build(
        id="CartPole-v1",
        wrappers=(
            {"use": "TimeAwareObservation", "flatten": False},
            "gymnasium.wrappers:FlattenObservation",
            {"use": "ReshapeObservation", "shape": [5, 1]},
        ),
        max_episode_steps=7,
    ).make()
    assert wrappers_of(environment)[-3:] == ["TimeAwareObservation", "FlattenObservation", "ReshapeObservation"]
    assert "PassiveEnvChecker" not in wrappers_of(environment)
    assert environment.observation_space.shape == (5, 1)
    assert environment.spec.max_episode_steps == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "CartPol-v1"}, "environment.id: Gymnasium knows no environment CartPol-v1; did you mean CartPole-v1?"),
        (
            {"id": "MsPacman-v5"},
            "environment.id: Gymnasium knows no environment MsPacman-v5; "
            'for the Atari game: use = "atari", game = "ms_pacman"',
        ),
        ({"id": "CartPole-v9"}, "did you mean CartPole-v1?"),
        ({"id": "Zzzzzzzz-v0"}, "is the package that registers it named, as in module:Id-v0?"),
        ({"id": "no_such_module:A-v0"}, "environment.id: there is no module no_such_module"),
        ({"id": "Acrobot-v1", "native": True}, "environment.native: Acrobot-v1 has no vector version of its own"),
        ({"id": "MiniGrid-Empty-5x5-v0"}, 'environment.use: .* use = "minigrid"'),
        (
            {"id": "CartPole-v1", "wrappers": ("ClipAction", "TimLimit")},
            "environment.wrappers.1: gymnasium.wrappers has no wrapper TimLimit; did you mean TimeLimit?",
        ),
        ({"id": "CartPole-v1", "wrappers": ("gymnasium:Env",)}, "gymnasium has no wrapper Env"),
        ({"id": "CartPole-v1", "wrappers": ("nowhere:A",)}, "environment.wrappers.0: there is no module nowhere"),
        (
            {"id": "CartPole-v1", "wrappers": ("TimeLimit",)},
            "environment.wrappers.0: it cannot wrap CartPole-v1: .*max_ep",
        ),
        ({"id": "CartPole-v1", "kwargs": {"colour": 1}}, "environment.kwargs.colour: the environment does not take it"),
    ],
)
def test_mistakes_of_the_pipeline_are_named(options: dict[str, Any], message: str) -> None:
    """Each has the key it stands at, and what was probably meant."""
    with pytest.raises(PipelineError, match=message):
        build(**options).make()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grid worlds, Atari games, Box2D, MuJoCo and dm_control say what to install."""
    for module in ("minigrid", "ale_py", "Box2D", "mujoco", "shimmy"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "dm_control", ModuleType("dm_control"))
    for module in [name for name in sys.modules if name.startswith(("gymnasium.envs.box2d", "gymnasium.envs.mujoco"))]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(PluginError, match=r'needs the package minigrid: pip install "framework-rl\[minigrid\]"'):
        build(id="MiniGrid-Empty-5x5-v0", wrappers=("FlattenObservation",))
    with pytest.raises(PluginError, match=r'needs the package ale_py: pip install "framework-rl\[atari\]"'):
        build(id="ALE/Pong-v5")
    with pytest.raises(PluginError, match=r'pip install "framework-rl\[box2d\]"'):
        build(id="LunarLander-v3").make()
    with pytest.raises(PluginError, match=r'pip install "framework-rl\[mujoco\]"'):
        build(id="Hopper-v5").make()
    with pytest.raises(PluginError, match=r'needs the package shimmy: pip install "framework-rl\[dm-control\]"'):
        build(id="dm_control/cheetah-run-v0")
    monkeypatch.setitem(sys.modules, "dm_control", None)
    with pytest.raises(PluginError, match=r'needs the package dm_control: pip install "framework-rl\[dm-control\]"'):
        build(id="dm_control/cheetah-run-v0")


def test_options_are_checked_before_anything_is_imported() -> None:
    """Wrappers need a name, and do not go with ``native``."""
    _, problems = structure(GymnasiumConfig, {"id": "A-v0", "wrappers": [{"max_episode_steps": 3}]}, "environment")
    assert [problem.path for problem in problems] == ["environment.wrappers"]
    with pytest.raises(OptionError, match="wrappers are for single environments"):
        GymnasiumConfig(id="CartPole-v1", wrappers=("ClipAction",), native=True)


def test_the_environments_own_vector_version() -> None:
    """``native = true`` takes it, with the arguments of the pipeline; by default environments are stepped singly."""
    options = {"id": "CartPole-v1", "max_episode_steps": 5, "kwargs": {"sutton_barto_reward": True}}
    assert isinstance(make_vector(build(**options), 2), SteppedVector)
    vector = make_vector(build(native=True, **options), 2)
    assert vector.self_resetting
    vector.reset(*all_of(2))
    for step in range(5):
        vector.step(np.array([step % 2, step % 2]))
    assert vector.truncated.all()
    assert not vector.rewards.any()


def test_the_render_mode_reaches_the_environment() -> None:
    """Videos need it."""
    assert build(id="CartPole-v1", render_mode="rgb_array").make().render_mode == "rgb_array"

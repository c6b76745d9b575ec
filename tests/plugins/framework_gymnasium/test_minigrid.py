from typing import Any

import numpy as np
import pytest
from environments import all_of
from gymnasium.spaces import Discrete

from framework.errors import PluginError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework.toolkit.spaces import flat_space
from framework_gymnasium.config import MiniGridConfig
from framework_gymnasium.minigrid import MiniGridEnvironment

pytest.importorskip("minigrid")

EMPTY = "MiniGrid-Empty-5x5-v0"


def build(**options: Any) -> MiniGridEnvironment:
    return MiniGridEnvironment(MiniGridConfig(**{"id": EMPTY, **options}), EnvironmentContext(seed=0))


@pytest.mark.parametrize(
    ("observation", "shapes"),
    [
        ("dict", {"image": (7, 7, 3), "direction": ()}),
        ("image", {"observation": (7, 7, 3)}),
        ("one_hot", {"image": (7, 7, 20), "direction": ()}),
        ("flat", {"observation": (2835,)}),
        ("rgb", {"image": (56, 56, 3), "direction": ()}),
    ],
)
def test_what_each_kind_of_observation_shows(observation: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Leaves and shapes are as documented; none has the mission's text."""
    environment = build(observation=observation).make()
    leaves = flat_space(environment.observation_space)
    assert {name: leaf.shape for name, leaf in leaves.items()} == shapes
    assert environment.observation_space.contains(environment.reset(seed=0)[0])
    if "direction" in leaves:
        assert leaves["direction"] == Discrete(4)


def test_success_is_reaching_the_goal() -> None:
    """1 where the goal ends the episode, 0 where the time runs out."""
    vector = make_vector(build(max_episode_steps=6), 2)
    vector.reset(*all_of(2))
    turn_right, forward = 1, 2
    for first in (forward, forward, turn_right, forward, forward):
        vector.step(np.array([first, turn_right]))
    assert vector.terminated.tolist() == [True, False]
    assert vector.success[0] == 1
    assert vector.rewards[0] > 0
    vector.reset(np.array([0]), [0], [None])
    vector.step(np.array([turn_right, turn_right]))
    assert vector.truncated.tolist() == [False, True]
    assert vector.success[1] == 0


def test_an_episode_is_a_function_of_its_seed() -> None:
    """The same seed and actions give the same observations, in a world that has been played in before."""
    vector = make_vector(build(id="MiniGrid-DoorKey-5x5-v0"), 2)
    vector.reset(np.arange(2), [1, 2], [None] * 2)
    chance = np.random.default_rng(0)
    actions = chance.integers(7, size=(30, 2))

    def play(rows: np.ndarray) -> list[np.ndarray]:
        return [step(row) for row in rows]

    def step(row: np.ndarray) -> np.ndarray:
        vector.step(row)
        return vector.observations["image"].copy()

    before = play(actions)
    vector.reset(np.arange(2), [2, 1], [None] * 2)
    after = play(actions[:, ::-1])
    for observations, swapped in zip(before, after, strict=True):
        np.testing.assert_array_equal(observations, swapped[::-1])


def test_further_wrappers_and_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrappers of the pipeline come last; without the package its extra is named."""
    environment = build(observation="image", wrappers=("FlattenObservation",)).make()
    assert environment.observation_space.shape == (147,)
    monkeypatch.setitem(__import__("sys").modules, "minigrid", None)
    with pytest.raises(PluginError, match=r"framework-rl\[minigrid\]"):
        build()

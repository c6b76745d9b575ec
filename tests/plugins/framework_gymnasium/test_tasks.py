from typing import Any

import gymnasium
import numpy as np
import pytest
from environments import Scripted, Tasked
from gymnasium.spaces import Box

from framework.errors import PipelineError, RunError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework.schema import OptionError
from framework_gymnasium.config import GymnasiumConfig, MiniGridConfig
from framework_gymnasium.environment import GymnasiumEnvironment
from framework_gymnasium.tasks import TaskAttribute, TaskSeed, TaskVariant

CONTEXT = EnvironmentContext(seed=0)
EMPTY, DOORKEY = "MiniGrid-Empty-5x5-v0", "MiniGrid-DoorKey-6x6-v0"


def cartpole(**options: Any) -> GymnasiumEnvironment:
    return GymnasiumEnvironment(GymnasiumConfig(**{"id": "CartPole-v1", **options}), CONTEXT)


def minigrid(**options: Any) -> Any:
    pytest.importorskip("minigrid")
    from framework_gymnasium.minigrid import MiniGridEnvironment

    return MiniGridEnvironment(MiniGridConfig(**{"id": EMPTY, **options}), CONTEXT)


def play(vector: Any, seeds: list[int], tasks: list[Any], count: int = 30) -> list[np.ndarray]:
    """All observations of so many steps with the same random actions."""
    vector.reset(np.arange(vector.count), seeds, tasks)
    chance = np.random.default_rng(0)
    observations = []
    for _ in range(count):
        vector.step(np.repeat(chance.integers(vector.action_space.n), vector.count))
        observations.append(
            np.concatenate([leaf.reshape(vector.count, -1) for leaf in vector.observations.values()], axis=1)
        )
        over = np.flatnonzero(vector.terminated | vector.truncated)
        vector.reset(over, [seeds[n] for n in over], [tasks[n] for n in over])
    return observations


def test_a_task_is_the_value_of_an_attribute() -> None:
    """It is set before the reset, and changes the episode; without a task it is what it was at first."""
    environment = cartpole(task_attribute="gravity").make()
    default = environment.unwrapped.gravity
    environment.reset(seed=0, options={"task": 50.0})
    heavy = environment.step(1)[0]
    assert environment.unwrapped.gravity == 50.0
    environment.reset(seed=0)
    assert environment.unwrapped.gravity == default
    assert (environment.step(1)[0] != heavy).any()


def test_the_environment_gets_the_options_too() -> None:
    """The wrapper passes on what it read, and is outside of all others."""
    inner = Tasked()
    inner.strength = 1
    TaskAttribute(gymnasium.wrappers.TimeLimit(inner, 5), "strength").reset(options={"task": 4})
    assert (inner.strength, inner.task) == (4, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gravty", "environment.task_attribute: CartPoleEnv has no attribute gravty; did you mean gravity?"),
        ("step", "environment.task_attribute: CartPoleEnv.step is a method"),
    ],
)
def test_a_wrong_attribute_is_named(name: str, message: str) -> None:
    """What there is none of, and what cannot be a value."""
    with pytest.raises(PipelineError) as raised:
        cartpole(task_attribute=name).make()
    assert str(raised.value) == message


def test_native_vector_environments_have_no_tasks() -> None:
    """The option does not go with ``native``."""
    with pytest.raises(OptionError, match="leave it out where native = true"):
        GymnasiumConfig(id="CartPole-v1", native=True, task_attribute="gravity")


def test_a_task_may_be_a_seed() -> None:
    """The same task starts the same episode, whatever the seed; without a task the seed counts."""
    environment = TaskSeed(Scripted())
    first = [environment.reset(seed=seed, options={"task": 7})[0] for seed in (1, 2)]
    np.testing.assert_array_equal(*first)
    assert (environment.reset(seed=1)[0] != first[0]).any()
    for task in (0.5, True, -1, "7"):
        with pytest.raises(RunError, match="a task must be a seed, an integer from 0"):
            environment.reset(options={"task": task})


def test_a_task_may_be_another_environment() -> None:
    """Each is made once; steps go to the one of the last reset; closing closes all."""
    variants: dict[str, Scripted] = {}

    def make(task: Any) -> Scripted | None:
        return variants.setdefault(task, Scripted()) if isinstance(task, str) else None

    default = Scripted()
    environment = TaskVariant(default, make)
    for task in ("a", None, "b", "a", 3):
        environment.reset(seed=0, options={"task": task})
        environment.step(0)
    assert [len(variant.actions) for variant in (variants["a"], variants["b"], default)] == [2, 1, 2]
    environment.close()
    assert all(variant.closed for variant in (default, *variants.values()))


def test_another_environment_needs_the_same_spaces() -> None:
    """Otherwise the policy could not act in it."""
    environment = TaskVariant(Scripted(), lambda task: Scripted(Box(0, 1, (4,), np.float32)))
    with pytest.raises(RunError, match=r"the environment of the task 'wide' has the observation_space Box.*\(4,\)"):
        environment.reset(options={"task": "wide"})


@pytest.mark.parametrize("observation", ["dict", "image", "one_hot", "flat", "rgb"])
def test_tasks_of_grid_worlds(observation: str) -> None:
    """Ids, tables and seeds, with every form of observation; wrappers and success are there in each."""
    environment = minigrid(observation=observation, max_episode_steps=4).make()
    sizes = []
    for task in (DOORKEY, {"size": 7}, {"id": DOORKEY, "size": 9}, None):
        observed, _ = environment.reset(seed=0, options={"task": task})
        assert environment.observation_space.contains(observed)
        sizes.append((type(environment.unwrapped).__name__, environment.unwrapped.width))
        for _ in range(4):
            *_, truncated, info = environment.step(0)
        assert truncated
        assert info["success"] is False
    assert sizes == [("DoorKeyEnv", 6), ("EmptyEnv", 7), ("DoorKeyEnv", 9), ("EmptyEnv", 5)]


def test_an_integer_is_the_seed_of_a_world() -> None:
    """The same task is the same world, whatever the episode's seed."""
    vector = make_vector(minigrid(id=DOORKEY), 4)
    observations = play(vector, [1, 2, 3, 4], [5, 5, 6, None])
    assert all((rows[0] == rows[1]).all() for rows in observations)
    assert any((rows[0] != rows[2]).any() for rows in observations)
    assert any((rows[0] != rows[3]).any() for rows in observations)


@pytest.mark.parametrize("make", [minigrid, lambda: cartpole(task_attribute="gravity")], ids=["minigrid", "gymnasium"])
def test_an_episode_is_a_function_of_seed_task_and_actions(make: Any) -> None:
    """In environments that have played other tasks before, too."""
    tasks = [{"size": 8}, DOORKEY, 3] if make is minigrid else [1.0, 20.0, None]
    vector = make_vector(make(), 3)
    before = play(vector, [1, 2, 3], tasks)
    after = play(vector, [3, 2, 1], tasks[::-1])
    fresh = play(make_vector(make(), 3), [1, 2, 3], tasks)
    np.testing.assert_array_equal(before, fresh)
    np.testing.assert_array_equal(before, np.array(after)[:, ::-1])
    assert not np.array_equal(np.array(before)[:, 0], np.array(before)[:, 1])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("MiniGrid-DoorKey-5x5-v9", "did you mean MiniGrid-DoorKey-5x5-v0?"),
        ({"size": 5, "colour": 1}, "colour: the environment does not take it"),
        ({"id": 5}, "expected a string"),
        (0.5, "a task must be an environment's id, a table of its arguments, or the seed of a world, not 0.5"),
        ("MiniGrid-Dynamic-Obstacles-5x5-v0", r"has the action_space Discrete\(3\), the pipeline's Discrete\(7\)"),
    ],
)
def test_wrong_tasks_of_grid_worlds_are_named(task: Any, message: str) -> None:
    """With what is wrong about them."""
    with pytest.raises(RunError, match=message):
        minigrid().make().reset(options={"task": task})

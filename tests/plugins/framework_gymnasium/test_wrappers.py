from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
from environments import Scripted
from gymnasium.spaces import Box, Discrete

from framework.errors import PipelineError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework_gymnasium.config import GymnasiumConfig
from framework_gymnasium.environment import GymnasiumEnvironment, find_wrappers
from framework_gymnasium.wrappers import ClipObservation, RepeatAction, RescaleAction, RescaleObservation

WIDE = Box(np.array([-2, 0, -np.inf], np.float32), np.array([6, 1, np.inf], np.float32))
ACTIONS = Box(np.array([-3, 0.5], np.float32), np.array([1, 0.7], np.float32))


class Counter(gymnasium.Env[Any, Any]):
    """Shows how many steps there were, of this episode and of all; the reward of step n is n. Ends after ``length``."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(3)

    def __init__(self, length: int = 5, truncates: bool = False):
        self.length, self.truncates, self.steps, self.all_steps = length, truncates, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.steps < self.length, "stepped after its end"
        self.steps += 1
        self.all_steps += 1
        over = self.steps == self.length
        info = {"step": self.steps}
        return self.observation(), float(self.steps), over and not self.truncates, over and self.truncates, info

    def observation(self) -> np.ndarray:
        return np.array([self.steps, self.all_steps], np.float32)


def wrapped(environment: gymnasium.Env[Any, Any], *chosen: str | dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """An environment with wrappers that are named as in a pipeline."""
    for wrap in find_wrappers(chosen):
        environment = wrap(environment)
    return environment


def build(*wrappers: str | dict[str, Any], id: str = "Pendulum-v1", **options: Any) -> GymnasiumEnvironment:
    return GymnasiumEnvironment(GymnasiumConfig(id=id, wrappers=wrappers, **options), EnvironmentContext(seed=0))


@pytest.mark.parametrize(("padding", "before"), [("reset", [[0, 3]] * 2), ("zero", [[0, 0]] * 2)])
def test_stacked_frames_are_of_one_episode(padding: str, before: list[list[float]]) -> None:
    """A reset fills the stack with its own observation, or with zeros: nothing of the episode before is in it."""
    stack = wrapped(Counter(3), {"use": "FrameStackObservation", "stack_size": 3, "padding_type": padding})
    for start in (0, 3):
        first, _ = stack.reset(seed=0)
        expected = np.array([[0, start]] * 2 if padding == "reset" else before, np.float32)
        np.testing.assert_array_equal(first, [*expected, [0, start]])
        second, *_ = stack.step(0)
        np.testing.assert_array_equal(second, [expected[-1], [0, start], [1, start + 1]])
        stack.step(0)
        last, _, terminated, truncated, _ = stack.step(0)
        np.testing.assert_array_equal(last[:, 0], [1, 2, 3])
        assert (terminated, truncated) == (True, False)


@pytest.mark.parametrize("truncates", [False, True])
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_repeats_stop_at_the_end(truncates: bool, gamma: float) -> None:
    """Rewards are summed, discounted by ``gamma``; observation, flags and info are those of the last step."""
    counter = Counter(5, truncates)
    environment = wrapped(counter, {"use": "RepeatAction", "num_repeats": 3, "gamma": gamma})
    environment.reset(seed=0)
    observation, reward, terminated, truncated, info = environment.step(1)
    assert reward == pytest.approx(1 + gamma * 2 + gamma**2 * 3)
    assert (terminated, truncated, info) == (False, False, {"step": 3})
    observation, reward, terminated, truncated, info = environment.step(1)
    assert reward == pytest.approx(4 + gamma * 5)
    assert (terminated, truncated, info) == (not truncates, truncates, {"step": 5})
    np.testing.assert_array_equal(observation, [5, 5])
    environment.reset(seed=0)
    assert environment.step(1)[1] == pytest.approx(1 + gamma * 2 + gamma**2 * 3)


def test_a_discounted_repeat_is_the_return_of_its_steps() -> None:
    """With ``gamma ** num_repeats`` between actions, the discounted return is that of the single steps."""
    gamma, repeats = 0.97, 4
    environment = RepeatAction(Counter(12), repeats, gamma)
    environment.reset(seed=0)
    rewards = [environment.step(0)[1] for _ in range(3)]
    expected = sum(gamma**step * (step + 1) for step in range(12))
    assert sum(gamma ** (repeats * n) * reward for n, reward in enumerate(rewards)) == pytest.approx(expected)


def test_time_limits_count_what_is_inside_of_them() -> None:
    """``max_episode_steps`` counts the environment's steps, a TimeLimit around repeated actions those actions."""
    repeat = {"use": "RepeatAction", "num_repeats": 4}
    inner = build(repeat, max_episode_steps=10).make()
    outer = build(repeat, {"use": "TimeLimit", "max_episode_steps": 5}).make()
    for environment, actions in ((inner, 3), (outer, 5)):
        environment.reset(seed=0)
        ends = [environment.step(np.zeros(1, np.float32))[2:4] for _ in range(actions)]
        assert ends == [(False, False)] * (actions - 1) + [(False, True)]


def test_observations_are_clipped_with_their_space() -> None:
    """Bounds may be of each entry; those of the space follow."""
    environment = wrapped(Scripted(WIDE), {"use": "ClipObservation", "min_obs": [-1, -1, -5], "max_obs": [1, 2, 5]})
    np.testing.assert_array_equal(environment.observation_space.low, [-1, 0, -5])
    np.testing.assert_array_equal(environment.observation_space.high, [1, 1, 5])
    plain = Scripted(WIDE)
    for seed in range(20):
        observation, expected = environment.reset(seed=seed)[0], plain.reset(seed=seed)[0]
        np.testing.assert_array_equal(observation, np.clip(expected, [-1, -1, -5], [1, 2, 5]))
        assert environment.observation_space.contains(observation)


def test_rescaled_observations_fill_the_new_bounds() -> None:
    """The ends of the old bounds are those of the new, linearly in between; entries without bounds stay."""
    environment = RescaleObservation(Scripted(WIDE))
    for observation, expected in (
        ([-2, 0, 50], [-1, -1, 50]),
        ([6, 1, -50], [1, 1, -50]),
        ([2, 0.25, 0], [0, -0.5, 0]),
    ):
        rescaled = environment.observation(np.array(observation, np.float32))
        np.testing.assert_allclose(rescaled, expected, atol=1e-7)
        assert rescaled.dtype == np.float32
    assert environment.observation_space == Box(*np.array([[-1, -1, -np.inf], [1, 1, np.inf]], np.float32))


def test_rescaled_actions_fill_the_environments_bounds() -> None:
    """As Gymnasium's wrapper maps them, for numbers and for arrays; what rounding adds stays within the bounds."""
    for low, high in ((-1.0, 1.0), ([-1.0, 0.0], [3.0, 0.5])):
        environment = RescaleAction(Scripted(action=ACTIONS), low, high)
        arrays = [np.broadcast_to(np.asarray(bound, np.float32), (2,)) for bound in (low, high)]
        reference = gymnasium.wrappers.RescaleAction(Scripted(action=ACTIONS), *arrays)
        assert environment.action_space == reference.action_space
        chance = np.random.default_rng(0)
        for _ in range(200):
            action = chance.uniform(*arrays).astype(np.float32)
            inner = environment.action(action)
            np.testing.assert_allclose(inner, reference.action(action), rtol=1e-5, atol=1e-6)
            assert ACTIONS.contains(inner)
        for bound, expected in zip(arrays, (ACTIONS.low, ACTIONS.high), strict=True):
            np.testing.assert_array_equal(environment.action(bound), expected)


@pytest.mark.parametrize(
    ("wrapper", "id", "message"),
    [
        ({"use": "RepeatAction", "num_repeats": 0}, "Pendulum-v1", "num_repeats must be an integer from 1, not 0"),
        ({"use": "RepeatAction", "num_repeats": 2, "gamma": 2}, "Pendulum-v1", "gamma must be from 0 to 1, not 2"),
        ("RescaleAction", "CartPole-v1", r"actions must be a Box of floats; these are Discrete\(2\)"),
        ({"use": "RescaleAction", "min_action": 1}, "Pendulum-v1", "the lower bound must be below the upper one"),
        ({"use": "ClipObservation", "min_obs": [1, 2], "max_obs": 3}, "Pendulum-v1", "shape"),
        ("RepeatActions", "Pendulum-v1", "did you mean RepeatAction"),
        ("ClipObservations", "Pendulum-v1", "did you mean ClipObservation"),
    ],
)
def test_wrong_arguments_are_named(wrapper: str | dict[str, Any], id: str, message: str) -> None:
    """With the place of the wrapper in the pipeline."""
    with pytest.raises(PipelineError, match=f"environment.wrappers.0: .*{message}"):
        build(wrapper, id=id).make()


def test_actions_without_bounds_cannot_be_rescaled() -> None:
    """As after Gymnasium's ClipAction, which takes the bounds away."""
    with pytest.raises(PipelineError, match=r"environment.wrappers.1: .* actions need bounds"):
        build("ClipAction", "RescaleAction").make()


@pytest.mark.parametrize(
    "chosen",
    [
        ({"use": "RepeatAction", "num_repeats": 2}, {"use": "FrameStackObservation", "stack_size": 3}),
        (
            "RescaleAction",
            "RescaleObservation",
            {"use": "StickyAction", "repeat_action_probability": 0.5},
            {"use": "ClipReward", "min_reward": -1.0, "max_reward": 1.0},
            {"use": "DelayObservation", "delay": 2},
            "TimeAwareObservation",
            {"use": "TimeLimit", "max_episode_steps": 7},
        ),
    ],
    ids=["repeated", "all kinds"],
)
def test_an_episode_is_a_function_of_its_seed(chosen: tuple[str | Mapping[str, Any], ...]) -> None:
    """Whatever a wrapper remembers, it forgets at a reset: played again, in another row, an episode shows the same."""
    actions = np.random.default_rng(0).uniform(-1, 1, (9, 3, 1)).astype(np.float32)

    def play(vector: Any, seeds: list[int], rows: list[int]) -> np.ndarray:
        vector.reset(np.arange(3), seeds, [None] * 3)
        shown = []
        for step in actions:
            vector.step(step[rows])
            shown.append(
                np.concatenate([vector.observations["observation"].reshape(3, -1), vector.rewards[:, None]], 1)
            )
        return np.array(shown)

    vector = make_vector(build(*chosen, max_episode_steps=40), 3)
    first = play(vector, [5, 6, 7], [0, 1, 2])
    again = play(vector, [7, 5, 6], [2, 0, 1])
    np.testing.assert_array_equal(first, again[:, [1, 2, 0]])
    assert (first[:, 0] != first[:, 1]).any()


def test_clipping_keeps_the_kind_of_numbers() -> None:
    """Pixels stay pixels."""
    pixels = Box(0, 255, (2, 2), np.uint8)
    environment = ClipObservation(Scripted(pixels), 10, 200)
    observation, _ = environment.reset(seed=0)
    assert observation.dtype == environment.observation_space.dtype == np.uint8
    assert environment.observation_space.contains(observation)

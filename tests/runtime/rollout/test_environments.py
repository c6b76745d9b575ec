"""Environments that are made, or taken, wrongly."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics

from framework.errors import EXIT_PLUGIN, EXIT_USAGE, FrameworkError, RunError
from framework.runtime.rollout.environments import close_environment, make_environment
from framework.runtime.rollout.stepped_vector import SteppedVector


class Base(gymnasium.Env[Any, Any]):
    observation_space: Any = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self.observation(), self.info()

    def observation(self) -> Any:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def info(self) -> Any:
        return {}

    def reward(self) -> Any:
        return 1.0

    def over(self) -> Any:
        return self.steps >= 3

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self.observation(), self.reward(), self.over(), False, self.info()


def make_vector(count: int = 2, **methods: Any) -> SteppedVector:
    """Environments of which some methods are others: given as functions of the environment, or as what they give."""
    members = {
        name: value if callable(value) or "space" in name else (lambda self, value=value: value)
        for name, value in methods.items()
    }
    vector = SteppedVector([type("Made", (Base,), members)() for _ in range(count)])
    vector.reset(np.arange(count), range(count), [None] * count)
    return vector


def later(first: Any, after: Any) -> Any:
    """What is given at the reset, and what after it."""
    return lambda self: after if self.steps else first


@pytest.mark.parametrize(
    ("space", "first", "after", "problem"),
    [
        (spaces.MultiDiscrete([3, 2]), np.array([0, 0]), np.array([3, 0]), "[3 0], which is not in MultiDiscrete"),
        (spaces.MultiDiscrete([3, 2]), np.array([0, 0]), np.array([-1, 0]), "[-1  0], which is not in"),
        (spaces.Discrete(4), 2, 4, "4, which is not in Discrete(4)"),
        (spaces.Discrete(4, start=1), 2, 0, "0, which is not in Discrete(4, start=1)"),
        (spaces.MultiBinary(2), np.zeros(2, np.int8), np.full(2, 2, np.int8), "[2 2], which is not in MultiBinary"),
        (spaces.Discrete(4), 2, 2.7, "is float64[], but its space declares int64[]"),
        (spaces.Discrete(4), 2, np.float32(2), "is float32[], but"),
        (spaces.Discrete(4), 2, None, "is object[], but"),
        (spaces.Discrete(4), 2, np.array([2]), "is int64[1], but"),
        (
            spaces.Box(0, 255, (2,), np.uint8),
            np.zeros(2, np.uint8),
            np.array([0, 300], np.uint16),
            "that uint8 cannot hold",
        ),
        (spaces.Box(0, 255, (2,), np.uint8), np.zeros(2, np.uint8), np.array([0, -1]), "is int64[2], but"),
        (spaces.Box(0, 9, (), np.int32), np.int32(1), 2**40, "that int32 cannot hold"),
        (spaces.Box(0, 9, (2,), np.float32), np.zeros(2, np.float32), np.zeros(2, complex), "is complex128[2], but"),
        (spaces.Box(0, 9, (2,), np.float32), np.zeros(2, np.float32), "ab", "but its space declares"),
    ],
    ids=str,
)
def test_observations_are_what_their_space_declares(space: Any, first: Any, after: Any, problem: str) -> None:
    """At every step as at the first: choices in range, and no cast that changes a number."""
    vector = make_vector(observation_space=space, observation=later(first, after))
    with pytest.raises(RunError, match="environment 0: observation 'observation'") as caught:
        vector.step(np.zeros(2, np.int64))
    assert problem in str(caught.value)
    with pytest.raises(RunError, match="environment 0: observation 'observation'") as caught:
        make_vector(observation_space=space, observation=lambda self: after)
    assert problem in str(caught.value)


@pytest.mark.parametrize("nested", [False, True])
def test_a_shared_buffer_shows_each_its_own(nested: bool) -> None:
    """Environments that write into one and the same array are told apart."""
    buffer = np.zeros(2, np.float32)

    def observation(self: Any) -> Any:
        buffer[:] = self.np_random.uniform(-1, 1, 2)
        return {"a": buffer} if nested else buffer

    box = Base.observation_space
    space = spaces.Dict({"a": box}) if nested else box
    shared, apart = make_vector(observation=observation, observation_space=space), make_vector()
    for vector in (shared, apart):
        vector.step(np.zeros(2, np.int64))
    assert np.array_equal(*(next(iter(vector.observations.values())) for vector in (shared, apart)))


@pytest.mark.parametrize(
    "mask", [np.array([-np.inf, 0.0]), np.array([np.nan, 1.0]), np.array([2, 0]), np.array(["a", "b"]), [None, True]]
)
def test_masks_are_true_or_false(mask: Any) -> None:
    """Logits, NaN and other numbers are no masks."""
    with pytest.raises(RunError, match=r"environment 0: info\['action_mask'\] is .* must hold true or false"):
        make_vector(info={"action_mask": mask})


@pytest.mark.parametrize("mask", [np.array([1, 0]), np.array([1.0, 0.0]), [True, False], np.array([1, 0], np.int8)])
def test_masks_of_zeros_and_ones_are_taken(mask: Any) -> None:
    """Whatever their type."""
    vector = make_vector(info={"action_mask": mask})
    assert vector.action_mask is not None
    assert vector.action_mask.tolist() == [[True, False]] * 2


@pytest.mark.parametrize(
    ("methods", "problem"),
    [
        ({"reward": None}, "environment 0 gave the reward None, which is not a number"),
        ({"reward": 1j}, "environment 0 gave the reward 1j, which is not a number"),
        ({"reward": "1.5"}, "environment 0 gave the reward '1.5', which is not a number"),
        ({"info": later({}, None), "over": True}, "environment 0 gave info = None, which is not a dictionary"),
        ({"over": np.nan}, "terminated is nan: it must hold true or false"),
        ({"over": "yes"}, "terminated is 'yes': it must hold true or false"),
        ({"info": {"success": 0.5}, "over": True}, "info['success'] must be true or false, not 0.5"),
        ({"info": {"success": np.nan}, "over": True}, "info['success'] must be true or false, not nan"),
        ({"reward": lambda self: int("x")}, "environment 0 failed in step: ValueError: invalid literal"),
        ({"reward": lambda self: exec("raise SystemExit(0)")}, "environment 0 failed in step: SystemExit: 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_a_step_gives_is_checked(methods: Any, problem: str) -> None:
    """One line with the environment and what it did wrong."""
    vector = make_vector(**methods)
    with pytest.raises(RunError) as caught:
        vector.step(np.zeros(2, np.int64))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_info_of_a_reset_is_a_dictionary() -> None:
    """None is named."""
    with pytest.raises(RunError, match="environment 0 gave info = None, which is not a dictionary"):
        make_vector(info=None)


class Component:
    """Makes what it is told to."""

    def __init__(self, make: Any):
        self.make = make


def raising(error: BaseException) -> Any:
    def make() -> None:
        raise error

    return make


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (raising(RuntimeError("no licence")), "environment Component cannot be made: RuntimeError: no licence"),
        (raising(SystemExit(3)), "environment Component cannot be made: SystemExit: 3"),
        (lambda: None, "make() gave None, which is no gymnasium Env"),
        (type("Bare", (gymnasium.Env,), {}), "Bare has no observation_space"),
        (type("Bare", (Base,), {"action_space": 3}), "Bare has no action_space"),
    ],
)
def test_what_cannot_be_made_names_its_component(make: Any, problem: str) -> None:
    """The environment's code is to blame, so the exit code is that of a broken plugin."""
    with pytest.raises(FrameworkError) as caught:
        make_environment(Component(make))
    assert problem in str(caught.value).partition("\n")[0]
    assert caught.value.exit_code == EXIT_PLUGIN


@pytest.mark.parametrize("wrap", [NormalizeObservation, NormalizeReward, lambda env: NormalizeReward(env).unwrapped])
def test_wrappers_with_statistics_of_their_own_are_refused(wrap: Any) -> None:
    """Wherever they are in the chain: evaluations would know nothing of what they hold. Others are taken."""
    wrapped = RecordEpisodeStatistics(wrap(Base()))
    if isinstance(wrapped.env, Base):
        assert make_environment(Component(lambda: wrapped)) is wrapped
        return
    with pytest.raises(FrameworkError, match=f"{type(wrapped.env).__name__} keeps running statistics") as caught:
        make_environment(Component(lambda: wrapped))
    assert caught.value.exit_code == EXIT_USAGE


def test_closing_never_raises() -> None:
    """Every environment is closed, and what went wrong is told."""

    def close(self: Any) -> None:
        raise OSError("gone")

    assert make_vector(count=3, close=close).close() == [
        f"environment {i} failed in close: OSError: gone" for i in range(3)
    ]
    assert close_environment(Base(), "it") == []

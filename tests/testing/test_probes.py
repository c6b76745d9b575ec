from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete

from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.testing.probes import ACTIONS, OBSERVATIONS, PROBES, Probe, expected
from framework.toolkit.spaces import flatten

DISCOUNT = 0.99


def right_action(kind: str, sign: int, info: dict[str, Any]) -> Any:
    """An action that stands for ``sign`` in all its parts, and is legal."""
    mask = legal_rows(info)
    legal = None if mask is None else [row.nonzero()[0][(sign + 1) // 2] for row in mask]
    choices = {-1: (0, 3, [0, 0], [-0.7, -1], [0, 0, 0]), 1: (1, 4, [1, 2], [0.5, 1], [1, 1, 1])}[sign]
    kinds = ("discrete", "discrete_start", "multi_discrete", "box", "multi_binary")
    plain = dict(zip(kinds, choices, strict=True))
    if kind == "masked":
        return int(legal[0])
    if kind == "masked_parameterized":
        return {"choice": legal[0], "a": np.ones(1, np.float32), "c": np.full(1, 0.7, np.float32)}
    if kind == "nested":
        numbers = np.array([sign, 0.6 * sign], np.float32)
        return {"bits": np.array([sign > 0] * 2, np.int8), "pair": (np.int64(3 + (sign > 0)), numbers)}
    action = legal if kind == "masked_multi_discrete" else plain[kind]
    dtype = {"box": np.float32, "multi_binary": np.int8}.get(kind, np.int64)
    return action if isinstance(action, int) else np.array(action, dtype)


def legal_rows(info: dict[str, Any]) -> np.ndarray | None:
    """The legal ones of four actions of each part, [parts, 4]."""
    mask = info.get("action_mask")
    return None if mask is None else np.asarray(mask["choice"] if isinstance(mask, dict) else mask, bool).reshape(-1, 4)


def play(probe: Probe, kind: str, seed: int, act: Callable[[int, int], int]) -> tuple[int, list[float], bool]:
    """The first signal, the rewards, and whether the episode was truncated; ``act(first signal, signal)`` is a sign."""
    observation, info = probe.reset(seed=seed)
    first, rewards = signal_of(observation), []
    while True:
        sign = act(first, signal_of(observation))
        observation, reward, terminated, truncated, info = probe.step(right_action(kind, sign, info))
        assert probe.observation_space.contains(observation)
        rewards.append(reward)
        if terminated or truncated:
            return first, rewards, truncated


def signal_of(observation: Any) -> int:
    """The signal, whatever shows it."""
    if not isinstance(observation, dict):
        return int(observation[0]) if observation.shape == (1,) else int(observation[0].argmax()) // 12 - 1
    if "number" in observation:
        return int(observation["number"][0] + observation["symbol"])
    body, (symbol, symbols) = observation["body"], observation["pair"]
    return int(body["number"][0, 0] + body["bits"][1] - body["bits"][0] + symbol + symbols[0] - 1)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("number", PROBES)
def test_the_best_policy_reaches_what_is_expected(number: int, observation: str, action: str) -> None:
    """Length, return and discounted values are those of `expected`, through every kind of space."""
    facts, probe = expected(number), Probe(number, observation, action)
    episodes = [play(probe, action, seed, lambda first, _: first or 1) for seed in range(12)]
    assert {len(rewards) for _, rewards, _ in episodes} == {facts.steps}
    values = facts.value(DISCOUNT)
    assert {first for first, _, _ in episodes} == set(values)
    for first, rewards, truncated in episodes:
        value = sum(DISCOUNT**t * reward for t, reward in enumerate(rewards))
        assert value + truncated * DISCOUNT ** len(rewards) * values[first] == pytest.approx(values[first])
    if number != 2:
        assert {sum(rewards) for _, rewards, _ in episodes} == {facts.episode_return}
    else:
        assert {sum(rewards) for _, rewards, _ in episodes} == {-1.0, 1.0}
        assert facts.episode_return == 0


@pytest.mark.parametrize("action", ACTIONS)
def test_the_wrong_choice_is_not_rewarded(action: str) -> None:
    """In the probes of the policy the opposite earns the opposite."""
    for number in (4, 5, 7):
        _, rewards, _ = play(Probe(number, action=action), action, 0, lambda first, _: -(first or 1))
        assert sum(rewards) == -1


def test_memory_is_needed_in_the_seventh_alone() -> None:
    """What is seen at its last step says nothing about the reward; elsewhere the observation is enough."""
    probe = Probe(7)
    signals = []
    probe.reset(seed=0)
    for _ in range(4):
        signals.append(signal_of(probe.step(0)[0]))
    assert signals == [0, 0, 0, 0]
    _, rewards, _ = play(Probe(5), "discrete", 0, lambda _, signal: signal)
    assert rewards == [1.0]


def test_only_the_sixth_is_truncated() -> None:
    """It never terminates; the others never truncate."""
    for number in PROBES:
        _, _, truncated = play(Probe(number), "discrete", 0, lambda *_: 1)
        assert truncated == (number == 6)


@pytest.mark.parametrize("observation", ["dict", "nested"])
def test_every_part_of_an_observation_is_needed(observation: str) -> None:
    """Each leaf shows the signal at times, alone: an encoder that leaves one out cannot solve the probe."""
    probe = Probe(5, observation)
    blank = flatten(probe.observation_space, probe.encode(0))
    leaves = set()
    for seed in range(40):
        flat = flatten(probe.observation_space, probe.reset(seed=seed)[0])
        differing = [name for name, value in flat.items() if (value != blank[name]).any()]
        assert len(differing) == 1
        leaves.update(differing)
    assert leaves == set(blank)


@pytest.mark.parametrize(
    ("kind", "action", "message"),
    [
        ("discrete_start", 1, "is not in Discrete"),
        ("box", np.array([2, 0], np.float32), "is not in Box"),
        ("multi_discrete", np.array([1, 3]), "is not in MultiDiscrete"),
    ],
)
def test_actions_outside_the_space_are_refused(kind: str, action: Any, message: str) -> None:
    """A learner whose actions are shaped or shifted wrongly is stopped."""
    probe = Probe(1, action=kind)
    probe.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        probe.step(action)


def illegal_action(kind: str, choices: list[int]) -> Any:
    if kind == "masked_parameterized":
        return {"choice": choices[0], "a": np.zeros(1, np.float32), "c": np.zeros(1, np.float32)}
    return choices[0] if kind == "masked" else np.array(choices)


@pytest.mark.parametrize("kind", ["masked", "masked_multi_discrete", "masked_parameterized"])
def test_illegal_actions_are_refused(kind: str) -> None:
    """Masks vary, always leave one action of each meaning, and are enforced."""
    probe, masks = Probe(6, action=kind), set()
    _, info = probe.reset(seed=0)
    for _ in range(20):
        mask = legal_rows(info)
        masks.add(mask.tobytes())
        assert mask.reshape(-1, 2).sum(axis=1).tolist() == [1, 1] * len(mask)
        illegal = [int(np.flatnonzero(~row)[0]) for row in mask]
        with pytest.raises(ValueError, match="not legal"):
            probe.step(illegal_action(kind, illegal))
        _, _, _, _, info = probe.step(right_action(kind, 1, info))
    assert len(masks) > 3


def test_they_are_registered_by_importing_the_module() -> None:
    """A pipeline names them as ``framework.testing.probes:Probe1-v0``."""
    probe = gymnasium.make("framework.testing.probes:Probe4-v0", observation="nested", action="discrete_start")
    assert probe.unwrapped.number == 4
    assert probe.action_space == Discrete(2, start=3)
    assert probe.spec.max_episode_steps is None


def test_episodes_are_functions_of_their_seeds() -> None:
    """Signals, masks and the leaf that shows the signal come from the seed; spaces are not shared."""
    first, second = Probe(5, "nested", "masked"), Probe(5, "nested", "masked")
    assert first.observation_space is not second.observation_space
    vector = SteppedVector([first, second])
    vector.reset(np.arange(2), [3, 3], [None, None])
    for array in (*vector.observations.values(), vector.action_mask):
        np.testing.assert_array_equal(array[0], array[1])


def test_what_there_is_not_is_refused() -> None:
    """A number or kind that is unknown is named with those that are known."""
    with pytest.raises(ValueError, match="no probe 8"):
        Probe(8)
    with pytest.raises(ValueError, match="no kind 'sound', but vector, image"):
        Probe(1, observation="sound")
    with pytest.raises(ValueError, match="no kind 'text', but discrete"):
        Probe(1, action="text")

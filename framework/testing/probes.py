"""Probe environments: a correct learner solves each in seconds, and each isolates one mistake of an incorrect one.

They follow Andy Jones, "Debugging RL, without the agonizing pain", and add truncation, memory, and every kind of
space. Importing this module registers them, so that a pipeline can name them:

```toml
[environment]
use = "gymnasium"
id = "framework.testing.probes:Probe5-v0"
kwargs = { observation = "nested", action = "masked" }
```

Inside, every observation is a *signal* of -1, 0 or 1, and every action a *choice*: numbers in [-1, 1], one for each of
its parts. `OBSERVATIONS` and `ACTIONS` say how each kind of space shows the one and reads the other.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from attrs import frozen
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from framework.testing.legal import is_legal, structured
from framework.toolkit.spaces import ParameterizedActions, mask_groups

_IMAGE = (36, 36, 1)
_LENGTH = 5
_PERIOD = 20


@frozen
class ProbeFacts:
    """What a probe isolates, and its optimal results."""

    isolates: str  #: what is broken where this probe fails and those before it do not
    steps: int  #: environment steps of an episode
    episode_return: float  #: mean return of an episode under the best policy
    value: Callable[[float], dict[int, float]]  #: discount -> the value of each signal that an episode starts with


PROBES: dict[int, ProbeFacts] = {
    1: ProbeFacts("the value's loss and its optimiser", 1, 1.0, lambda _: {0: 1.0}),
    2: ProbeFacts("what reaches the value from the observation", 1, 0.0, lambda _: {-1: -1.0, 1: 1.0}),
    3: ProbeFacts("discounting and the order of steps", 2, 1.0, lambda discount: {0: discount}),
    4: ProbeFacts("the policy's loss, advantages and actions", 1, 1.0, lambda _: {0: 1.0}),
    5: ProbeFacts("what reaches the policy from the observation", 1, 1.0, lambda _: {-1: 1.0, 1: 1.0}),
    6: ProbeFacts("bootstrapping where an episode is truncated", _PERIOD, _PERIOD, lambda d: {0: 1 / (1 - d)}),
    7: ProbeFacts("memory", _LENGTH, 1.0, lambda d: {-1: d ** (_LENGTH - 1), 1: d ** (_LENGTH - 1)}),
}


def expected(number: int) -> ProbeFacts:
    """The optimal results of a probe; probe 7 takes an encoder with memory.

    The values are those of the signal an episode starts with, under the best policy and without intrinsic rewards.
    In probe 3 the second step shows the signal 1, whose value is 1.
    """
    return PROBES[number]


class Probe(gymnasium.Env[Any, Any]):
    """One of seven tiny environments, showing its signal and reading choices through any kind of space.

    1. One step, constant signal, reward 1.
    2. One step, a random signal of -1 or 1, which is the reward.
    3. Two steps, signals 0 and 1, the reward 1 comes with the second.
    4. One step, constant signal; the reward is the choice (the mean of its parts).
    5. One step, a random signal of -1 or 1; the reward is the choice times the signal.
    6. Reward 1 in each step, constant signal; truncated, and never terminated, after 20 steps.
    7. Five steps; the first shows a random signal of -1 or 1, the others 0; the last rewards the choice times it.

    An action that is not in the action space, or that the mask forbids, raises ``ValueError``.
    """

    def __init__(self, number: int, observation: str = "vector", action: str = "discrete"):
        if number not in PROBES:
            raise ValueError(f"there is no probe {number}, but {list(PROBES)}")
        for name, kinds in ((observation, OBSERVATIONS), (action, ACTIONS)):
            if name not in kinds:
                raise ValueError(f"there is no kind {name!r}, but {', '.join(kinds)}")
        self.number = number
        # Copies, because a space carries the generator that it is sampled with.
        (self.observation_space, self._encode), (self.action_space, self._decode) = deepcopy(
            (OBSERVATIONS[observation], ACTIONS[action])
        )
        self._masked = action.startswith("masked")
        self._groups = len(mask_groups(self.action_space))
        self._mask: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self._step = 0
        self._signal = int(self.np_random.choice((-1, 1))) if self.number in (2, 5, 7) else 0
        return self.encode(self._signal), self._info()

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Reward, and the next signal: in the probes of one step, the same again."""
        choice = self._choice(action)
        self._step += 1
        last = self._step == PROBES[self.number].steps
        reward = {
            1: 1.0,
            2: float(self._signal),
            3: float(last),
            4: choice,
            5: choice * self._signal,
            6: 1.0,
            7: choice * self._signal * last,
        }[self.number]
        signal = {3: 1, 7: 0}.get(self.number, self._signal)
        truncated = last and self.number == 6
        return self.encode(signal), reward, last and not truncated, truncated, self._info()

    def encode(self, signal: int) -> Any:
        """An observation that shows a signal. Where it has several parts, chance says which of them shows it."""
        return self._encode(signal, self.np_random)

    def _choice(self, action: Any) -> float:
        if not self.action_space.contains(action):
            raise ValueError(f"the action {action!r} is not in {self.action_space}")
        if self._mask is not None and not is_legal(self.action_space, action, self._mask.reshape(-1)):
            raise ValueError(f"the action {action!r} is not legal: the mask is {self._mask}")
        return float(np.mean(self._decode(action)))

    def _info(self) -> dict[str, Any]:
        if not self._masked:
            return {}
        # Of the four actions of each part, two stand for -1 and two for 1: one of either is legal.
        self._mask = np.zeros((self._groups, 4), bool)
        for row in self._mask:
            row[self.np_random.integers(2)] = True
            row[2 + self.np_random.integers(2)] = True
        flat = self._mask.reshape(-1).copy()
        nested = isinstance(self.action_space, Dict | Tuple)
        return {"action_mask": structured(self.action_space, flat) if nested else flat}


def _vector(signal: int, _: np.random.Generator) -> Any:
    return np.array([signal], np.float32)


def _image(signal: int, _: np.random.Generator) -> Any:
    # A bright band on the left, in the middle or on the right: a plain surface leaves most units of a network dead.
    image = np.zeros(_IMAGE, np.uint8)
    third = _IMAGE[1] // 3
    image[:, third * (signal + 1) : third * (signal + 2)] = 255
    return image


def _dict(signal: int, chance: np.random.Generator) -> Any:
    number, symbol = _scatter(signal, 2, chance)
    return {"number": np.array([number], np.float32), "symbol": np.int64(symbol)}


def _nested(signal: int, chance: np.random.Generator) -> Any:
    number, bits, symbol, symbols = _scatter(signal, 4, chance)
    return {
        "body": {"number": np.array([[number]], np.float64), "bits": np.array([bits < 0, bits > 0], np.int8)},
        "pair": (np.int64(symbol), np.array([symbols + 1, 0], np.int64)),
    }


def _scatter(signal: int, parts: int, chance: np.random.Generator) -> list[int]:
    """The signal in one of the parts, zero in the others: so an encoder that leaves one part out fails."""
    shown = [0] * parts
    shown[chance.integers(parts)] = signal
    return shown


_SYMBOL: Discrete[Any] = Discrete(3, start=-1)

#: Kind of observation -> its space, and how a signal is shown in it.
OBSERVATIONS: dict[str, tuple[Space[Any], Callable[[int, np.random.Generator], Any]]] = {
    "vector": (Box(-1, 1, (1,), np.float32), _vector),
    "image": (Box(0, 255, _IMAGE, np.uint8), _image),
    "dict": (Dict({"number": Box(-1, 1, (1,), np.float32), "symbol": _SYMBOL}), _dict),
    "nested": (
        Dict(
            {
                "body": Dict({"number": Box(-1, 1, (1, 1), np.float64), "bits": MultiBinary(2)}),
                "pair": Tuple((_SYMBOL, MultiDiscrete([3, 2]))),
            }
        ),
        _nested,
    ),
}

_BOX = Box(-1, 1, (2,), np.float32)
_NUMBER = Box(-1, 1, (1,), np.float32)


def _parts(action: Any) -> Any:
    choice, numbers = action["pair"]
    return [2 * (choice - 3) - 1, *np.clip(2 * numbers, -1, 1), *(2 * action["bits"] - 1)]


def _chosen(action: Any) -> Any:
    """``a`` and ``b`` stand for -1, ``c`` and ``d`` for 1: times its own parameter, where an action has one."""
    name = "abcd"[action["choice"]]
    sign = 1 if name in "cd" else -1
    return sign * np.clip(2 * action[name], -1, 1) if name in action else sign


#: Kind of action -> its space, and the choice that an action stands for. A box saturates at half its bounds.
ACTIONS: dict[str, tuple[Space[Any], Callable[[Any], Any]]] = {
    "discrete": (Discrete(2), lambda action: 2 * action - 1),
    "discrete_start": (Discrete(2, start=3), lambda action: 2 * (action - 3) - 1),
    "multi_discrete": (MultiDiscrete([2, 3]), lambda action: action / np.array([0.5, 1.0]) - 1),
    "box": (_BOX, lambda action: np.clip(2 * action, -1, 1)),
    "multi_binary": (MultiBinary(3), lambda action: 2 * action - 1),
    "nested": (Dict({"bits": MultiBinary(2), "pair": Tuple((Discrete(2, start=3), _BOX))}), _parts),
    "masked": (Discrete(4), lambda action: 2 * (action >= 2) - 1),
    "masked_multi_discrete": (MultiDiscrete([4, 4]), lambda action: 2 * (action >= 2) - 1),
    "masked_parameterized": (ParameterizedActions({"a": _NUMBER, "b": None, "c": _NUMBER, "d": None}), _chosen),
}

for _number in PROBES:
    if f"Probe{_number}-v0" not in gymnasium.registry:
        gymnasium.register(f"Probe{_number}-v0", "framework.testing.probes:Probe", kwargs={"number": _number})

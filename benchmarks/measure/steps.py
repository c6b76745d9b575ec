"""Steps per second of the research environment under random legal actions, resets included."""

from __future__ import annotations

import time

import numpy as np

from framework_research.compiled import compiled
from framework_research.environment import ResearchEnv
from framework_research.vector import ResearchVectorEnv
from measure.results import Measurement

#: Warm-up steps, in which compiled functions are loaded or compiled.
_WARM = 200


@compiled
def choose(masks, numbers, actions):
    """Fill ``actions`` [N] with legal ones, drawn by ``numbers`` [N] from 0 to 1."""
    for index in range(len(masks)):
        remaining = int(numbers[index] * masks[index].sum())
        for action in range(masks.shape[1]):
            if masks[index, action]:
                if remaining == 0:
                    actions[index] = action
                    break
                remaining -= 1


def single(level: float, steps: int, seed: int) -> Measurement:
    """The rate of one environment."""
    environment = ResearchEnv(task_complexity=level, observation_mode="state")
    numbers = np.random.default_rng(seed).random((_WARM + steps, 1))
    actions = np.zeros(1, np.int64)
    _, info = environment.reset(seed=seed)
    resets = 0
    for step in range(_WARM + steps):
        if step == _WARM:
            started, resets = time.perf_counter(), 0
        choose(info["action_mask"][None], numbers[step], actions)
        _, _, terminated, truncated, info = environment.step(actions[0])
        if terminated or truncated:
            _, info = environment.reset()
            resets += 1
    return _rate(steps, resets, started)


def vector(level: float, steps: int, environments: int, seed: int) -> Measurement:
    """The rate of a vector environment, the steps of all its environments counted."""
    rounds = steps // environments
    vector = ResearchVectorEnv(environments, task_complexity=level, observation_mode="state")
    numbers = np.random.default_rng(seed).random((_WARM + rounds, environments))
    actions = np.zeros(environments, np.int64)
    _, infos = vector.reset(seed=seed)
    resets = 0
    for number in range(_WARM + rounds):
        if number == _WARM:
            started, resets = time.perf_counter(), 0
        choose(infos["action_mask"], numbers[number], actions)
        _, _, terminated, truncated, infos = vector.step(actions)
        ended = terminated | truncated
        if ended.any():
            _, infos = vector.reset(options={"reset_mask": ended})
            resets += int(ended.sum())
    return _rate(rounds * environments, resets, started)


def _rate(steps: int, resets: int, started: float) -> Measurement:
    seconds = time.perf_counter() - started
    return {"steps": steps, "resets": resets, "seconds": round(seconds, 4), "steps_per_second": round(steps / seconds)}

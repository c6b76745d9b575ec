"""DQN solves every probe environment, through the whole kernel, with either replay buffer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import probing
import pytest

from framework.testing.probes import OBSERVATIONS, PROBES

PIPELINE = """
[run]
total_steps = 1  # set by the test

[environment]

[encoder]
use = "mlp"
hidden = [16]

[algorithm]
use = "dqn"
learning_rate = 0.01
learning_rate_schedule = "linear"
minibatch_size = 32
updates_per_step = 0.5
learning_starts = 32
target_update_interval = 20
epsilon_fraction = 0.5

[replay]
use = "uniform"

[sampling]
environments = 8
rollout_length = 8

[evaluation]
episodes = 8
"""
STEPS = 1024
#: What probes take that is not in the pipeline above.
LONG = {
    "algorithm.huber_delta": 100.0,
    "algorithm.learning_rate": 0.05,
    "algorithm.target_update_interval": 10,
    "replay.n_step": 20,
}
IMAGES = {
    "encoder": {"use": "cnn", "channels": [16, 32], "kernels": [8, 4], "strides": [6, 2], "features": 32},
    "algorithm.learning_rate": 0.003,
}
#: What takes a memory: sequences as long as trajectories, of which five make a minibatch.
MEMORY = {
    "encoder": {"use": "gru", "features": 16, "core": {"use": "mlp", "hidden": [16]}},
    "run.total_steps": 6144,
    "algorithm.minibatch_size": 40,
    "algorithm.updates_per_step": 0.1,
    "algorithm.burn_in": 4,
}
#: Options of Rainbow, but for Munchausen's, whose values are others.
RAINBOW = {
    "categorical": {"algorithm.distribution": "categorical", "algorithm.v_min": -2.0, "algorithm.v_max": 2.0},
    "quantile": {"algorithm.distribution": "quantile", "algorithm.atoms": 11, "algorithm.huber_delta": 0.1},
    "noisy": {"algorithm.noisy": True, "algorithm.head_hidden": [16], "algorithm.epsilon_end": 0.05},
}
TOLERANCE = 0.05

FEW = [
    *((number, "vector", "discrete", "uniform") for number in range(1, 7)),
    (3, "vector", "discrete", "prioritized"),
    (5, "image", "discrete_start", "uniform"),
    (5, "nested", "masked", "prioritized"),
]
#: What takes seconds: `.ci/run` has it.
CI = [(5, "image", "discrete_start", "uniform")]
ALL = [
    (number, observation, action, replay)
    for number in PROBES
    if number != 7
    for observation in OBSERVATIONS
    for action in ("discrete", "discrete_start", "masked")
    for replay in ("uniform", "prioritized")
]


def solve(
    folder: Path, number: int, observation: str, action: str, replay: str, patience: int = 1, **options: Any
) -> None:
    """Train with the settings that the probe takes, ``patience`` times as long, and with these options."""
    overrides: dict[str, Any] = {
        "run.total_steps": patience * STEPS,
        "replay.use": replay,
        **(IMAGES if observation == "image" else {}),
        **(LONG if number == 6 else {}),
        **options,
    }
    probing.solve(
        folder,
        PIPELINE,
        overrides,
        number,
        observation,
        action,
        values=lambda policy, rows: policy.network.values(rows).amax(-1),
        tolerance=TOLERANCE,
    )


@pytest.mark.parametrize(
    ("number", "observation", "action", "replay"),
    [pytest.param(*case, marks=pytest.mark.slow if case in CI else ()) for case in FEW],
)
def test_probe_is_solved(tmp_path: Path, number: int, observation: str, action: str, replay: str) -> None:
    """The greedy policy is the best one, and its values are right within 5 %."""
    solve(tmp_path, number, observation, action, replay)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("options", RAINBOW)
def test_probe_is_solved_with_distributions_and_noise(tmp_path: Path, number: int, options: str) -> None:
    """The means of distributions, and of noisy values, are as right as plain values are."""
    solve(tmp_path, number, "vector", "discrete", "uniform", 2, **RAINBOW[options])


@pytest.mark.parametrize("replay", ["uniform", pytest.param("prioritized", marks=pytest.mark.slow)])
def test_probe_of_memory_is_solved(tmp_path: Path, replay: str) -> None:
    """With a recurrent encoder, burn-in and stored memories, what depends on the first observation is learned."""
    probing.solve(
        tmp_path,
        PIPELINE,
        {**MEMORY, "replay.use": replay},
        7,
        values=lambda policy, rows: policy.network.values(rows).amax(-1),
        tolerance=TOLERANCE,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "observation", "action", "replay"), [case for case in ALL if case not in FEW])
def test_every_combination_is_solved(tmp_path: Path, number: int, observation: str, action: str, replay: str) -> None:
    """As above: every kind of observation with every kind of discrete action."""
    solve(tmp_path, number, observation, action, replay, patience=2 if observation == "image" else 1)

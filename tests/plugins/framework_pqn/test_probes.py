"""PQN solves every probe environment, through the whole kernel; the one about memory with a memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import probing
import pytest
import torch
from torch import Tensor

from framework.testing.probes import OBSERVATIONS, PROBES

PIPELINE = """
[run]
total_steps = 1  # set by the test

[environment]

[encoder]
use = "mlp"
hidden = [16]
layer_norm = true

[algorithm]
use = "pqn"
optimizer = "adamw"  # rectified Adam starts slowly, and this is over soon
learning_rate = 0.01
minibatch_size = 32
head_hidden = [16]

[sampling]
environments = 8
rollout_length = 8

[evaluation]
episodes = 8
"""
STEPS = 2048
IMAGES = {
    "encoder": {"use": "cnn", "channels": [16, 32], "kernels": [8, 4], "strides": [6, 2], "features": 32},
    "algorithm.learning_rate": 0.003,
}
#: What the probe of long episodes takes, whose values are 100.
LONG = {
    "run.total_steps": 4 * STEPS,
    "algorithm.learning_rate": 0.3,
    "algorithm.q_lambda": 1.0,
    "algorithm.minibatch_size": 16,
    "sampling.rollout_length": 20,
}
#: Returns go through random actions too, so that values are right only where there are none in the end.
MEMORY = {
    "run.total_steps": 4 * STEPS,
    "encoder": {"use": "gru", "features": 16, "core": {"use": "mlp", "hidden": [16]}},
    "algorithm.q_lambda": 0.9,
    "algorithm.epsilon_end": 0.0,
    "sampling.rollout_length": 20,
}
TOLERANCE = 0.05

FEW = [
    *((number, "vector", "discrete") for number in range(1, 7)),
    (5, "image", "discrete_start"),
    (5, "nested", "masked"),
]
#: What takes seconds: `.ci/run` has it.
CI = [(6, "vector", "discrete"), (5, "image", "discrete_start")]
ALL = [
    (number, observation, action)
    for number in PROBES
    if number != 7
    for observation in OBSERVATIONS
    for action in ("discrete", "discrete_start", "masked")
]


def greedy(policy: Any, rows: dict[str, Tensor]) -> Tensor:
    """The greatest Q-value of each observation, [B]; to a memory it is the first of an episode."""
    count = len(next(iter(rows.values())))
    steps = {name: x.unsqueeze(0) for name, x in rows.items()}
    values = policy.network(steps, policy.initial_memory(count), torch.ones(1, count, dtype=torch.bool)).values
    return values[0].amax(-1)


def solve(folder: Path, number: int, observation: str, action: str, patience: int = 1) -> None:
    """Train with the settings that the probe takes, ``patience`` times as long."""
    overrides: dict[str, Any] = {
        "run.total_steps": patience * STEPS,
        **(IMAGES if observation == "image" else {}),
        **(LONG if number == 6 else {}),
    }
    probing.solve(folder, PIPELINE, overrides, number, observation, action, values=greedy, tolerance=TOLERANCE)


@pytest.mark.parametrize(
    ("number", "observation", "action"),
    [pytest.param(*case, marks=pytest.mark.slow if case in CI else ()) for case in FEW],
)
def test_probe_is_solved(tmp_path: Path, number: int, observation: str, action: str) -> None:
    """The greedy policy is the best one, and its values are right within 5 %."""
    solve(tmp_path, number, observation, action)


@pytest.mark.slow
def test_memory_is_learned(tmp_path: Path) -> None:
    """What the first observation showed decides which last action pays: only a memory can tell."""
    probing.solve(tmp_path, PIPELINE, MEMORY, 7, values=greedy, tolerance=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "observation", "action"), [case for case in ALL if case not in FEW])
def test_every_combination_is_solved(tmp_path: Path, number: int, observation: str, action: str) -> None:
    """As above: every kind of observation with every kind of discrete action."""
    solve(tmp_path, number, observation, action, patience=2 if observation == "image" else 1)

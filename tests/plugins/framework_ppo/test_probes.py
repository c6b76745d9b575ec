"""PPO solves every probe environment that takes no memory, through the whole kernel and over all kinds of spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import probing
import pytest

from framework.testing.probes import ACTIONS, OBSERVATIONS, PROBES

PIPELINE = """
[run]
total_steps = 1  # set by the test

[environment]

[encoder]
use = "mlp"
hidden = [16]

[algorithm]
use = "ppo"
learning_rate = 0.01
epochs = 4
minibatch_size = 64
gae_lambda = 1.0
entropy_coefficient = 0.0

[sampling]
environments = 8
rollout_length = 32
"""
STEPS = 4096
#: What a probe takes that is not in the pipeline above; what images take, and real-valued actions.
LONG: dict[str, Any] = {"run.total_steps": 16_384, "sampling.environments": 4, "sampling.rollout_length": 16}
IMAGES = {
    "run.total_steps": 2048,
    "algorithm.learning_rate": 0.003,
    "algorithm.share_encoder": True,
    "algorithm.value_coefficient": 2.0,
}
REAL_ACTIONS = ("box", "nested", "masked_parameterized")
REAL = {"run.total_steps": STEPS, "algorithm.log_std_init": -1.0}
#: A mean that overshoots to where every sample is clipped never comes back.
SMALL_STEPS = {"algorithm.learning_rate": 0.003}
#: Small networks for small images.
ENCODERS: dict[str, dict[str, Any]] = {
    "cnn": {"use": "cnn", "channels": [16, 32], "kernels": [8, 4], "strides": [6, 2], "features": 32},
    "impala_cnn": {"use": "impala_cnn", "channels": [4, 8, 16], "features": 32},
}
#: A value counts as right within this share of it; where it depends on actions, exploring costs a little.
TOLERANCE = 0.05
EXPLORING = 0.15

#: Each probe, each kind of observation and each kind of action at least once.
FEW = [
    *((number, "vector", "discrete", "mlp") for number in range(1, 7)),
    (2, "image", "discrete", "impala_cnn"),
    (4, "vector", "box", "mlp"),
    (5, "image", "discrete_start", "cnn"),
    (5, "dict", "multi_binary", "mlp"),
    (5, "nested", "masked", "mlp"),
    (5, "vector", "multi_discrete", "mlp"),
    (5, "vector", "masked_multi_discrete", "mlp"),
    (5, "vector", "nested", "mlp"),
    (5, "vector", "masked_parameterized", "mlp"),
]
#: Those that take seconds: `.ci/run` has them.
CI = [(2, "image", "discrete", "impala_cnn"), (6, "vector", "discrete", "mlp")]
WITHOUT_MEMORY = [number for number in PROBES if number != 7]
ALL = [
    (number, observation, action, encoder)
    for number in WITHOUT_MEMORY
    for observation in OBSERVATIONS
    for action in ACTIONS
    for encoder in (ENCODERS if observation == "image" else ("mlp",))
]


def solve(folder: Path, number: int, observation: str, action: str, encoder: str, patience: int = 1) -> None:
    """Train, ``patience`` times as long as the settings say."""
    overrides = (REAL if action in REAL_ACTIONS else {}) | (LONG if number == 6 else {})
    overrides |= SMALL_STEPS if action == "box" and number in (4, 5) else {}
    if encoder in ENCODERS:
        overrides = {"encoder": ENCODERS[encoder]} | IMAGES | overrides
    overrides["run.total_steps"] = patience * overrides.get("run.total_steps", STEPS)
    probing.solve(
        folder,
        PIPELINE,
        overrides,
        number,
        observation,
        action,
        values=lambda policy, rows: policy.values(rows),
        tolerance=EXPLORING if number in (4, 5) else TOLERANCE,
    )


@pytest.mark.parametrize(
    ("number", "observation", "action", "encoder"),
    [pytest.param(*case, marks=pytest.mark.slow if case in CI else ()) for case in FEW],
)
def test_probe_is_solved(tmp_path: Path, number: int, observation: str, action: str, encoder: str) -> None:
    """Values are right within 5 % (15 % where they depend on a policy that still explores), and so is the policy."""
    solve(tmp_path, number, observation, action, encoder)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "observation", "action", "encoder"), [case for case in ALL if case not in FEW])
def test_every_combination_is_solved(tmp_path: Path, number: int, observation: str, action: str, encoder: str) -> None:
    """As above: every kind of observation with every kind of action."""
    patience = 5 if encoder in ENCODERS else 3
    solve(tmp_path, number, observation, action, encoder, patience)

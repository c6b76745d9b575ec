"""SAC, TD3 and TQC solve every probe environment that takes no memory, through the whole kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import runs

import framework
from framework.runtime.session import Session
from framework.testing.probes import OBSERVATIONS, PROBES, expected

PIPELINE = """
[run]
total_steps = 1  # set by the test

[environment]
use = "gymnasium"
id = "set by the test"

[encoder]
use = "mlp"
hidden = [16]
activation = "relu"

[algorithm]
use = "sac"
learning_rate = 0.01
critic_learning_rate = 0.01
minibatch_size = 64
updates_per_step = 0.5
learning_starts = 64
target_tau = 0.05
actor_hidden = [16]
critic_hidden = [16]

[replay]
use = "uniform"

[sampling]
environments = 8
rollout_length = 8

[evaluation]
episodes = 8

[checkpoint]
every_seconds = 3600.0

[runtime]
samplers = 0
"""
STEPS = 1536
IMAGES = {
    "encoder": {"use": "cnn", "channels": [16, 32], "kernels": [8, 4], "strides": [6, 2], "features": 32},
    "algorithm.learning_rate": 0.003,
    "algorithm.critic_learning_rate": 0.003,
}
#: A fixed, small temperature: values are then those of the rewards.
SOFT = {"algorithm.learn_temperature": False, "algorithm.temperature": 0.01}
LONG = {"replay.n_step": 20, "algorithm.learning_rate_schedule": "linear", "algorithm.critic_learning_rate": 0.03}
QUICK = ("sac", 5, "vector", "box")  # the others take seconds too
FEW = [
    *(("sac", number, "vector", "box") for number in range(1, 6)),
    ("sac", 5, "nested", "masked"),
    ("td3", 5, "vector", "box"),
    ("tqc", 5, "vector", "box"),
]
ACTIONS = {"sac": ("box", "discrete", "discrete_start", "masked"), "td3": ("box",), "tqc": ("box",)}
ALL = [
    (name, number, observation, action)
    for name, actions in (
        ("sac", ("box", "discrete", "discrete_start", "masked")),
        ("td3", ("box",)),
        ("tqc", ("box",)),
    )
    for number in PROBES
    if number != 7
    for observation in OBSERVATIONS
    for action in actions
]


def solve(folder: Path, name: str, number: int, observation: str, action: str, patience: int = 1) -> None:
    """Train with the settings that the probe takes, ``patience`` times as long; compare return, values and errors."""
    overrides: dict[str, Any] = {
        "run.total_steps": patience * STEPS,
        "algorithm.use": name,
        "environment.id": f"framework.testing.probes:Probe{number}-v0",
        "environment.kwargs": {"observation": observation, "action": action},
        **(IMAGES if observation == "image" else {}),
        **({} if name == "td3" else SOFT),
        **(LONG if number == 6 else {}),
    }
    session = Session(framework.load(runs.write(folder, PIPELINE), overrides), root=folder)
    *_, last = session.updates()
    facts = expected(number)
    assert last.evaluation is not None
    if number != 2:  # where chance decides
        assert last.evaluation["evaluation/return"] >= 0.95 * facts.episode_return
    if number in (1, 2, 3, 6):  # whatever is done
        values = [*facts.value(0.99).values(), *([1.0] if number == 3 else [])]
        assert last.metrics["q_mean"] == pytest.approx(sum(values) / len(values), rel=0.1, abs=0.2)
        assert last.metrics["td_error"] < 0.05 * max(map(abs, values)) + 0.05


@pytest.mark.parametrize(
    ("name", "number", "observation", "action"),
    [pytest.param(*case, marks=() if case == QUICK else pytest.mark.slow) for case in FEW],
)
def test_probe_is_solved(tmp_path: Path, name: str, number: int, observation: str, action: str) -> None:
    """The greedy policy is the best one; where actions change nothing, values are right."""
    solve(tmp_path, name, number, observation, action)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number", "observation", "action"), [case for case in ALL if case not in FEW])
def test_every_combination_is_solved(tmp_path: Path, name: str, number: int, observation: str, action: str) -> None:
    """As above: every kind of observation with every kind of action."""
    solve(tmp_path, name, number, observation, action, patience=2)

"""Every bundled component passes the conformance kit, but for what is said here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from framework.catalog import Component, default_catalog
from framework.hookspecs import KINDS
from framework.testing import cases, subject
from framework.testing.conformance import run_case

# Threads that wait for one another make tests slow where others run beside them.
torch.set_num_threads(1)

_OFF_POLICY = {
    "learning_starts": 64,
    "learning_rate": 0.003,
    "updates_per_step": 0.1,
    "minibatch_size": 64,
    "actor_hidden": [32],
    "critic_hidden": [32],
    "target_tau": 0.05,
}
#: Options that a component needs, or that make it learn fast: by kind and name.
OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("algorithm", "dqn"): {"learning_starts": 64, "learning_rate": 0.003, "updates_per_step": 0.1},
    ("algorithm", "iql"): {"learning_rate": 0.003, "updates_per_step": 0.1, "critic_hidden": [32]},
    ("algorithm", "ppo"): {"learning_rate": 0.01, "entropy_coefficient": 0.0},
    ("algorithm", "pqn"): {"learning_rate": 0.003},
    ("algorithm", "sac"): _OFF_POLICY | {"learn_temperature": False, "temperature": 0.02},
    ("algorithm", "td3"): _OFF_POLICY,
    ("algorithm", "tqc"): _OFF_POLICY | {"learn_temperature": False, "temperature": 0.02, "quantiles": 8},
    ("curriculum", "fixed"): {"tasks": [1, "two", [3, 4], {"five": 6}], "weights": [4.0, 2.0, 1.0, 1.0]},
    ("curriculum", "learnability"): {"count": 8},
    ("curriculum", "learning_progress"): {"count": 8},
    ("curriculum", "prioritized_level_replay"): {"count": 8},
    ("encoder", "cnn"): {"features": 32},
    ("encoder", "impala_cnn"): {"features": 32, "channels": [4, 8]},
    ("environment", "atari"): {"game": "pong"},
    ("environment", "gymnasium"): {"id": "CartPole-v1"},
    ("environment", "minigrid"): {"id": "MiniGrid-DoorKey-5x5-v0"},
}
#: Why a component is not tried at all.
LEFT_OUT = {
    ("algorithm", "bc"): "learns nothing online: tests/plugins/framework_offline",
    ("environment", "envpool"): "its package is not among the tests'",
    ("replay", "minari"): "needs a dataset of the spaces: tests/plugins/framework_replay",
}
#: What takes long: checks that learn, and starting the emulator again and again.
SLOW = (
    *(f"algorithm-{name}-solves_probe" for name in ("dqn", "iql", "ppo", "pqn", "sac", "td3", "tqc")),
    "environment-atari",
)


def _cases() -> list[Any]:
    parameters = []
    for component in default_catalog().components():
        key = (component.kind, component.name)
        # Launchers are checked where their engines are: in the tests of their plugins.
        if component.kind not in KINDS or component.distribution != "framework-rl" or key in LEFT_OUT:
            continue
        tested = subject(*key, OPTIONS.get(key))
        for case in cases(tested):
            name = f"{component.kind}-{component.name}-{case.name}"
            parameters.append(pytest.param(case, id=name, marks=[pytest.mark.slow] if name.startswith(SLOW) else []))
    return parameters


@pytest.mark.parametrize("case", _cases())
def test_conforms(case: Any) -> None:
    """A check of the kit holds."""
    result = run_case(case)
    if result.status == "skipped":
        pytest.skip(result.reason)
    assert result.status == "passed", result.reason


def test_only_installed_components_are_spoken_of() -> None:
    """No entry above is about a component that is gone."""
    bundled: list[Component] = [c for c in default_catalog().components() if c.distribution == "framework-rl"]
    assert (OPTIONS.keys() | LEFT_OUT.keys()) <= {(component.kind, component.name) for component in bundled}

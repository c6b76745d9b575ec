"""Whole runs with SAC, TD3 and TQC: resumed, of any number of samplers, at any lag."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import pytest
import runs

import framework
from framework.errors import PipelineError
from framework.runtime.session import Session

PENDULUM = runs.CARTPOLE.replace("CartPole-v1", "Pendulum-v1").replace(
    'use = "ppo"\nminibatch_size = 64\nepochs = 2',
    """use = "sac"
actor_hidden = [16]
critic_hidden = [16]
minibatch_size = 16
learning_starts = 200
updates_per_step = 0.05
normalize_observations = true

[replay]
use = "prioritized"
capacity = 500
n_step = 3

[[bonus]]
use = "rnd"
weight = 0.5
""",
)
SHORT = {"run__total_steps": 1024, "environment__max_episode_steps": 50}
KINDS = {
    "sac": {},
    "td3": {"algorithm__use": "td3"},
    "tqc": {
        "algorithm__use": "tqc",
        "algorithm__quantiles": 4,
        "algorithm__dropped_quantiles": 1,
        "replay__use": "uniform",
    },
    "sac discrete": {"environment__id": "CartPole-v1"},
}
#: Runs in processes of their own take seconds: one of them is enough for a start.
every = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "sac" else pytest.mark.slow) for kind in KINDS]
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_equals_a_straight_one(kind: str, tmp_path: Path) -> None:
    """Buffer, targets, temperature, statistics and bonus go on from the checkpoint: equal bit for bit."""
    path = runs.write(tmp_path, PENDULUM)
    changes = {"runtime__samplers": 0, **SHORT, **KINDS[kind]}
    straight = runs.run(path, tmp_path / "straight", **changes)
    session = runs.session(path, tmp_path / "resumed", **changes)
    with closing(session.updates()) as updates:
        for _ in range(4):
            next(updates)
    for _ in Session(session.pipeline, resume=session.directory).updates():
        pass
    runs.assert_equal_runs(straight, session.directory)
    last = runs.metrics(straight)[-2]
    assert {"bonus/rnd/reward", "critic_loss", "actor_loss", "replay_size"} <= last.keys()
    assert all(math.isfinite(value) for value in last.values() if isinstance(value, float))


@every
def test_the_number_of_samplers_changes_nothing(kind: str, tmp_path: Path) -> None:
    """None, and two processes at the same lag: equal bit for bit."""
    path = runs.write(tmp_path, PENDULUM)
    results = [
        runs.run(path, tmp_path / str(samplers), runtime__samplers=samplers, **SHORT, **KINDS[kind])
        for samplers in (0, 2)
    ]
    runs.assert_equal_runs(*results)


@every
def test_data_of_any_age_is_learned_from(kind: str, tmp_path: Path) -> None:
    """With a free lag and two samplers."""
    path = runs.write(tmp_path, PENDULUM)
    changes = {**SHORT, **KINDS[kind]}
    directory = runs.run(path, tmp_path, runtime__samplers=2, sampling__policy_lag="free", **changes)
    assert "critic_loss" in runs.metrics(directory)[-2]


@pytest.mark.parametrize("name", ["sac", "td3", "tqc"])
def test_what_is_missing_or_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    """By the check, before anything is built: no replay buffer, and an encoder with memory."""
    text = PENDULUM.replace('use = "sac"', f'use = "{name}"')
    path = runs.write(tmp_path, text)
    with pytest.raises(PipelineError, match=f'gru needs an algorithm that supports "memory", unlike {name}'):
        framework.load(path, {"encoder": {"use": "gru"}})
    start, _, tail = text.partition("[replay]")
    with pytest.raises(PipelineError, match=f"missing: {name} needs a replay"):
        framework.load(runs.write(tmp_path, start + tail[tail.index("[[bonus]]") :]))

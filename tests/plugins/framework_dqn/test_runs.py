"""Whole runs with DQN: resumed, masked, with bonuses, and of many samplers."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import pytest
import runs

import framework
from framework.errors import PipelineError
from framework.runtime.session import Session

CARTPOLE = runs.CARTPOLE.replace(
    'use = "ppo"\nminibatch_size = 64\nepochs = 2',
    """use = "dqn"
minibatch_size = 16
learning_starts = 100
updates_per_step = 0.05
target_update_interval = 5
epsilon_fraction = 0.5

[replay]
use = "uniform"
capacity = 500
n_step = 3
""",
)
GRU = {"use": "gru", "features": 8, "core": {"use": "mlp", "hidden": [8]}}
SEQUENCES = {"algorithm__burn_in": 4, "algorithm__sequence_length": 40, "algorithm__value_rescaling": True}
BONUS = '\n[[bonus]]\nuse = "rnd"\nweight = 0.5\n'


@pytest.mark.parametrize("replay", ["uniform", "prioritized"])
def test_a_resumed_run_equals_a_straight_one(replay: str, tmp_path: Path) -> None:
    """Buffer, target, exploration and bonus go on from the checkpoint: the metrics are the same, bit for bit."""
    path = runs.write(tmp_path, CARTPOLE + BONUS)
    changes = {"runtime__samplers": 0, "replay__use": replay, "run__total_steps": 1024}
    straight = runs.run(path, tmp_path / "straight", **changes)
    session = runs.session(path, tmp_path / "resumed", **changes)
    with closing(session.updates()) as updates:
        for _ in range(4):
            next(updates)
    for _ in Session(session.pipeline, resume=session.directory).updates():
        pass
    runs.assert_equal_runs(straight, session.directory)
    last = runs.metrics(straight)[-2]
    assert last["epsilon"] == 0.05
    assert {"bonus/rnd/reward", "loss", "replay_size"} <= last.keys()
    assert all(math.isfinite(value) for value in last.values() if isinstance(value, float))


def test_many_samplers_explore_differently(tmp_path: Path) -> None:
    """Ape-X's pipeline runs: free lag, two sampler processes, a ladder of epsilons, prioritized replay."""
    path = runs.write(tmp_path, CARTPOLE)
    directory = runs.run(
        path,
        tmp_path,
        runtime__samplers=2,
        run__total_steps=1024,
        replay__use="prioritized",
        algorithm__epsilon_ladder=7.0,
        sampling__policy_lag="free",
    )
    assert "loss" in runs.metrics(directory)[-2]


def test_a_pipeline_without_replay_is_refused(tmp_path: Path) -> None:
    """The check names what is missing."""
    start, _, tail = CARTPOLE.partition("[replay]")
    path = runs.write(tmp_path, start + tail[tail.index("[sampling]") :])
    with pytest.raises(PipelineError, match="missing: dqn needs a replay"):
        framework.load(path)


@pytest.mark.parametrize("replay", [pytest.param("uniform", marks=pytest.mark.slow), "prioritized"])
def test_memory_goes_on_from_a_checkpoint(replay: str, tmp_path: Path) -> None:
    """Sequences in the buffer, their memories and priorities: the metrics are the same, bit for bit."""
    path = runs.write(tmp_path, CARTPOLE)
    changes = {"runtime__samplers": 0, "replay__use": replay, "encoder": GRU, **SEQUENCES, "run__total_steps": 1024}
    straight = runs.run(path, tmp_path / "straight", **changes)
    session = runs.session(path, tmp_path / "resumed", **changes)
    with closing(session.updates()) as updates:
        for _ in range(4):
            next(updates)
    for _ in Session(session.pipeline, resume=session.directory).updates():
        pass
    runs.assert_equal_runs(straight, session.directory)
    assert runs.metrics(straight)[-2]["gradient_steps"] > 0


@pytest.mark.parametrize("lag", [pytest.param(2, marks=pytest.mark.slow), "free"])
def test_memory_with_two_samplers(lag: int | str, tmp_path: Path) -> None:
    """At a fixed lag with the bits of no sampler at all; under free lag each trajectory is a sequence."""
    path = runs.write(tmp_path, CARTPOLE)
    changes = {"encoder": GRU, "run__total_steps": 768, "replay__use": "prioritized", "sampling__policy_lag": lag}
    if lag != "free":
        changes |= SEQUENCES
    directory = runs.run(path, tmp_path / "two", runtime__samplers=2, **changes)
    assert "loss" in runs.metrics(directory)[-2]
    if lag != "free":
        runs.assert_equal_runs(directory, runs.run(path, tmp_path / "none", runtime__samplers=0, **changes))

"""Whole runs with PQN: resumed, of any number of samplers, old and new data, with a memory."""

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
    'use = "pqn"\nminibatch_size = 64\nepochs = 2\nhead_hidden = [16]\nnormalize_observations = true\n'
    "normalize_rewards = true",
)
BONUS = '\n[[bonus]]\nuse = "rnd"\nweight = 0.5\nencoder = "mlp"\n'
GRU = {"use": "gru", "features": 8, "core": {"use": "mlp", "hidden": [8]}}
SMALL = {"run__total_steps": 1024, "runtime__samplers": 0}


@pytest.mark.parametrize("encoder", [{}, {"encoder": GRU}], ids=["stateless", "memory"])
def test_a_resumed_run_equals_a_straight_one(encoder: dict[str, object], tmp_path: Path) -> None:
    """Statistics, exploration, memory and bonus go on from the checkpoint: the metrics are the same, bit for bit."""
    path = runs.write(tmp_path, CARTPOLE + BONUS)
    changes = {**SMALL, **encoder}
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
    assert {"bonus/rnd/reward", "loss", "q_mean", "td_error", "gradient_norm"} <= last.keys()
    assert all(math.isfinite(value) for value in last.values() if isinstance(value, float))


@pytest.mark.parametrize("lag", [1, pytest.param(0, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_any_number_of_samplers_learns_the_same(lag: int, tmp_path: Path) -> None:
    """Two processes collect what the learner itself would, at any fixed lag, bit for bit."""
    path = runs.write(tmp_path, CARTPOLE)
    changes = {"run__total_steps": 1024, "sampling__policy_lag": lag}
    alone = runs.run(path, tmp_path / "alone", **changes, runtime__samplers=0)
    runs.assert_equal_runs(alone, runs.run(path, tmp_path / "together", **changes, runtime__samplers=2))


@pytest.mark.slow
def test_a_free_lag_is_learned_from(tmp_path: Path) -> None:
    """Whatever is there is taken, of whichever version."""
    path = runs.write(tmp_path, CARTPOLE)
    directory = runs.run(path, tmp_path, run__total_steps=1024, runtime__samplers=2, sampling__policy_lag="free")
    assert "loss" in runs.metrics(directory)[-2]


def test_a_replay_buffer_is_refused(tmp_path: Path) -> None:
    """There is none here, says the check."""
    path = runs.write(tmp_path, CARTPOLE)
    with pytest.raises(PipelineError, match='needs an algorithm that supports "replay", unlike pqn'):
        framework.load(path, {"replay": {"use": "uniform"}})

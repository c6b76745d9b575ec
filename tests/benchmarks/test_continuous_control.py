"""The comparison of continuous control: equal settings, what is kept of a run, and the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import continuous_control as benchmark
import framework
from continuous_control import FRAMEWORK, TASKS
from measure.aims import EXAMPLES
from measure.sides import SB3

PPO = [task for task in TASKS.values() if task.algorithm == "ppo"]


def measured(task: str, row: str, seed: int, score: float, rate: float = 100.0) -> dict[str, Any]:
    return {
        "task": task, "row": row, "repeat": seed - 1, "seed": seed, "steps": 4096, "return": score,
        "evaluation": score + 1, "gradient_steps_per_second": rate, "curve": [[2048, score]],
    }  # fmt: skip


@pytest.mark.parametrize("task", PPO, ids=lambda task: task.environment)
def test_examples_have_the_settings_of_the_peer(task: benchmark.Task) -> None:
    """Whatever the peer is told, the example says too; half the squared error has twice the coefficient."""
    pipeline = framework.load(EXAMPLES / f"{task.example}.toml", list(task.overrides))
    algorithm, sampling, peer = pipeline.algorithm.config, pipeline.sampling, task.peer
    assert pipeline.environment.config.id == task.environment
    assert pipeline.run.total_steps == task.steps
    assert sampling.environments * sampling.rollout_length == peer["n_steps"]
    assert sampling.policy_lag == 0
    assert {
        "batch_size": algorithm.minibatch_size,
        "n_epochs": algorithm.epochs,
        "learning_rate": algorithm.learning_rate,
        "gamma": algorithm.gamma,
        "gae_lambda": algorithm.gae_lambda,
        "clip_range": algorithm.clip_range,
        "ent_coef": algorithm.entropy_coefficient,
        "vf_coef": algorithm.value_coefficient / 2,
        "max_grad_norm": algorithm.max_gradient_norm,
        "n_steps": sampling.rollout_length,
    } == peer
    assert algorithm.learning_rate_schedule == "linear"
    assert algorithm.normalize_observations
    assert algorithm.normalize_rewards
    assert algorithm.value_clip_range is None


def test_overrides_are_the_settings_of_the_peer() -> None:
    """SAC's tasks are one example, with all that differs as overrides."""
    overrides = dict(override.split("=") for override in TASKS["pendulum-sac"].overrides)
    assert json.loads(overrides.pop("environment.id")) == "Pendulum-v1"
    assert {key: float(value) for key, value in overrides.items()} == {
        "algorithm.learning_rate": 1e-3,
        "algorithm.learning_starts": 100,
        "algorithm.minibatch_size": 256,
        "algorithm.target_tau": 0.005,
        "algorithm.gamma": 0.99,
        "algorithm.updates_per_step": 1.0,
        "replay.capacity": 20_000,
    }


def test_gradient_steps_follow_from_the_settings() -> None:
    """PPO goes ten times over each 2,048 steps in minibatches of 64; SAC makes one each step, once it learns."""
    assert TASKS["hopper-ppo"].gradient_steps(4096) == 2 * 10 * 32
    assert TASKS["hopper-sac"].gradient_steps(10_500) == 500
    assert TASKS["hopper-sac"].gradient_steps(9_000) == 0


def test_evaluations_do_not_count_as_training_time() -> None:
    """Of a run, 4 of its 10 seconds evaluate; of a long curve about 200 points stay, with the last one."""
    result = {
        "steps": 2048, "seconds": 10.0, "evaluating": 4.0, "final_return": 5.0, "evaluations": [[2048, 7.0]],
        "threads": 2, "curve": [[step, step / 3] for step in range(1, 1002)],
    }  # fmt: skip
    kept = benchmark.finished(TASKS["hopper-ppo"], result)
    assert (kept["seconds"], kept["return"], kept["evaluation"]) == (6.0, 5.0, 7.0)
    assert kept["gradient_steps_per_second"] == round(320 / 6, 2)
    assert len(kept["curve"]) == 202
    assert kept["curve"][-1] == [1001, 333.67]


def test_results_of_other_tasks_are_kept(tmp_path: Path) -> None:
    """A result file grows task by task; without one there is nothing to keep."""
    path = tmp_path / "results.json"
    assert benchmark.kept(path, "ppo Hopper-v5") == []
    runs = [measured("ppo Hopper-v5", FRAMEWORK, 1, 1.0), measured("sac Hopper-v5", FRAMEWORK, 1, 2.0)]
    path.write_text(json.dumps({"measurements": runs}))
    assert benchmark.kept(path, "ppo Hopper-v5") == runs[1:]


def test_the_table_has_both_sides_of_each_task() -> None:
    """Means with deviations over seeds, the published score, and the ratio of rates within each seed."""
    runs = [
        measured("ppo Hopper-v5", FRAMEWORK, 1, 2000.0, 300.0),
        measured("ppo Hopper-v5", SB3, 1, 1900.0, 100.0),
        measured("ppo Hopper-v5", FRAMEWORK, 2, 2200.0, 100.0),
        measured("ppo Hopper-v5", SB3, 2, 1900.0, 100.0),
        measured("sac Pendulum-v1", FRAMEWORK, 1, -150.0),
    ]
    lines = [line for line in benchmark.text(runs).splitlines() if line.startswith(("| ppo", "| sac"))]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["ppo Hopper-v5", FRAMEWORK, "1, 2", "4,096", "2,100 ± 141", "2,101 ± 141", "2383 ± 272", "200", "2"],
        ["ppo Hopper-v5", SB3, "1, 2", "4,096", "1,900 ± 0", "1,901 ± 0", "2383 ± 272", "100", "1"],
        ["sac Pendulum-v1", FRAMEWORK, "1", "4,096", "-150", "-149", "-", "100", "-"],
    ]

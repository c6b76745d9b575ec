"""Exactness with components of all kinds at work: memory, bonuses, replay, curriculum."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs

import framework
from framework.pipeline.toml import to_toml

TASKS = """
[curriculum]
use = "learnability"
tasks = [3.0, 9.8, 20.0]
success_return = 20.0
"""
GRAVITY = runs.CARTPOLE.replace("2048", "1024").replace(
    'id = "CartPole-v1"', 'id = "CartPole-v1"\ntask_attribute = "gravity"'
)
BONUSES = '[[bonus]]\nuse = "rnd"\nencoder = "mlp"\n[[bonus]]\nuse = "icm"\nencoder = "mlp"\n'
SMALL = {
    "run.name": "run",
    "run.total_steps": 1024,
    "environment.max_steps": 20,
    "curriculum.window": 20,
    "curriculum.start": 0.5,
    "replay.capacity": 500,
    "sampling": {"environments": 8, "shard": 2, "rollout_length": 16, "policy_lag": 1},
    "evaluation.every_steps": 0,
    "evaluation.episodes": 2,
    "checkpoint.every_seconds": 0.0,
}
REPLAY = '[replay]\nuse = "prioritized"\ncapacity = 500\n'


def with_parts(*parts: str, encoder: str = "", algorithm: str = "") -> str:
    """The pipeline with gravity as its task, and these tables."""
    text = GRAVITY.replace("[sampling]", "\n".join([TASKS, *parts, "[sampling]"]))
    text = text.replace('use = "mlp"\nhidden = [16, 16]', encoder) if encoder else text
    return text.replace('use = "ppo"\nminibatch_size = 64\nepochs = 2', algorithm) if algorithm else text


def research() -> str:
    """The whole pipeline of the research environment, in small: pictures, actions by token, success by level."""
    pipeline = framework.load(Path(__file__).parents[2] / "examples/research.toml", SMALL)
    return to_toml(pipeline.to_plain())


GRU = 'use = "gru"\nfeatures = 8\ncore = { use = "mlp", hidden = [8] }'
PQN = 'use = "pqn"\nminibatch_size = 64\nepochs = 2\nhead_hidden = [8]\nnormalize_observations = true'
DQN = 'use = "dqn"\nminibatch_size = 16\nlearning_starts = 64'
RAINBOW = f'{DQN}\ndistribution = "quantile"\natoms = 8\nnoisy = true\nmunchausen = true\ndueling = true'
SAC = DQN.replace("dqn", "sac") + "\nupdates_per_step = 0.2\nactor_hidden = [8]\ncritic_hidden = [8]"
PIPELINES = {
    "memory and bonuses": with_parts(BONUSES, encoder=GRU),
    "bonuses and imitation": with_parts(BONUSES, REPLAY),
    "values and memory": with_parts(BONUSES, encoder=GRU, algorithm=PQN),
    "values from replay": with_parts(BONUSES, REPLAY, algorithm=DQN),
    "values from sequences": with_parts(REPLAY, encoder=GRU, algorithm=DQN + "\nburn_in = 8\nsequence_length = 40"),
    "return distributions and noise": with_parts(BONUSES, REPLAY, algorithm=RAINBOW),
    "soft values from replay": with_parts(BONUSES, REPLAY, algorithm=SAC),
    "research": research(),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(text, id=name, marks=() if name == "memory and bonuses" else pytest.mark.slow)
        for name, text in PIPELINES.items()
    ],
)
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pipeline file and an undisturbed run of it, with two samplers at lag 1."""
    folder = tmp_path_factory.mktemp("reference")
    path = runs.write(folder, request.param)
    return path, runs.run(path, folder, runtime__samplers=2)


def test_sampling_inside_the_learner_changes_nothing(reference: tuple[Path, Path], tmp_path: Path) -> None:
    """Bit-equal with no sampler at all."""
    path, undisturbed = reference
    runs.assert_equal_runs(undisturbed, runs.run(path, tmp_path, runtime__samplers=0))


def test_resumed_run_is_the_same(reference: tuple[Path, Path], tmp_path: Path) -> None:
    """Left after an update and resumed: statistics, buffers, priorities and memories are all restored."""
    path, undisturbed = reference
    stopped = runs.session(path, tmp_path, runtime__samplers=0)
    for update in stopped.updates():
        if update.number == 6:
            break
    for _ in framework.train(framework.load_run(stopped.directory), resume=stopped.directory):
        pass
    runs.assert_equal_runs(undisturbed, stopped.directory)
    assert not runs.events(stopped.directory, "not_replayable")


@pytest.mark.slow
def test_killed_run_resumes_exactly(reference: tuple[Path, Path], tmp_path: Path) -> None:
    """The same with two samplers, killed with -9 at whatever it does after some updates."""
    path, undisturbed = reference
    directory = runs.kill_and_resume(path, tmp_path, [6], ("runtime.samplers=2",))
    runs.assert_equal_runs(undisturbed, directory)
    assert not runs.events(directory, "not_replayable")

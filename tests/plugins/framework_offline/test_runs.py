"""Whole runs from a dataset: resumed, without samplers, and online after it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import datasets
import gymnasium
import pytest
import runs

import framework
from framework.errors import PipelineError
from framework.runtime.session import Session

PIPELINE = """
[run]
seed = 3
total_steps = 256
offline_steps = 128

[environment]
use = "gymnasium"
id = "CartPole-v1"

[encoder]
use = "mlp"
hidden = [8]

[algorithm]
use = "iql"
minibatch_size = 16
updates_per_step = 0.1
critic_hidden = [8]

[replay]
use = "minari"
dataset = "test/small-v0"
capacity = 128
n_step = 2

[sampling]
environments = 4
shard = 2
rollout_length = 16

[evaluation]
episodes = 2
every_steps = 128

[checkpoint]
every_seconds = 0.0

[runtime]
samplers = 0
"""


@pytest.fixture
def path(minari_store: Path, tmp_path: Path) -> Path:
    """A pipeline, and the dataset that it names."""
    environment = gymnasium.make("CartPole-v1")
    datasets.write([20, 30, 7], environment.observation_space, environment.action_space)
    environment.close()
    return runs.write(tmp_path, PIPELINE)


@pytest.mark.parametrize("done", [1, 3])
def test_a_resumed_run_equals_a_straight_one(path: Path, tmp_path: Path, done: int) -> None:
    """Offline as online: the metrics and the weights are the same, bit for bit."""
    straight = runs.run(path, tmp_path / "straight")
    session = runs.session(path, tmp_path / "resumed")
    with closing(session.updates()) as updates:
        for _ in range(done):
            next(updates)
    for _ in Session(session.pipeline, resume=session.directory).updates():
        pass
    runs.assert_equal_runs(straight, session.directory)
    sizes = [line["replay_size"] for line in runs.metrics(straight) if "replay_size" in line]
    assert sizes == [57, 57, 57 + 64, 57 + 128]


def test_samplers_change_nothing(path: Path, tmp_path: Path) -> None:
    """At a fixed lag, two of them collect what the learner itself would."""
    one = runs.run(path, tmp_path / "one", sampling__policy_lag=2)
    two = runs.run(path, tmp_path / "two", sampling__policy_lag=2, runtime__samplers=2)
    runs.assert_equal_runs(one, two)


def test_a_run_without_samplers(path: Path, tmp_path: Path) -> None:
    """Behaviour cloning: no episode but those of its evaluations."""
    changes = {"algorithm": {"use": "bc", "minibatch_size": 16, "updates_per_step": 0.1}, "run.offline_steps": 256}
    training = framework.train(framework.load(path, changes), root=tmp_path)
    updates = list(training)
    assert [update.evaluation is not None for update in updates] == [False, True, False, True]
    assert updates[-1].metrics["episodes"] == 0
    assert updates[-1].metrics["loss"] > 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"algorithm": {"use": "bc"}}, "let run.offline_steps be as many as run.total_steps"),
        ({"environment.id": "Acrobot-v1"}, "the observation 'observation' is Box"),
        ({"replay.dataset": "test/none-v0"}, "there is no dataset 'test/none-v0'"),
        ({"replay": {"use": "uniform"}}, 'needs a replay that supports "offline"'),
        ({"algorithm": {"use": "dqn"}}, 'needs an algorithm that supports "offline", unlike dqn'),
        ({"encoder": {"use": "gru"}}, 'gru needs an algorithm that supports "memory", unlike iql'),
    ],
)
def test_what_cannot_be_is_refused(path: Path, tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    """Before there is a run directory."""
    with pytest.raises(PipelineError, match=reason):
        Session(framework.load(path, changes), root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_dqn_may_start_with_a_dataset(path: Path, tmp_path: Path) -> None:
    """In its replay buffer, and collect from its first step."""
    changes = {"algorithm": {"use": "dqn", "minibatch_size": 16, "learning_starts": 0}, "run.offline_steps": 0}
    [first, *_] = framework.train(framework.load(path, changes), root=tmp_path)
    assert first.metrics["replay_size"] == 57 + 64


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_example_learns_more_than_its_dataset_shows(minari_store: Path, tmp_path: Path) -> None:
    """Cloning comes to the mean return of a half-trained policy, IQL to far more, and further steps lose nothing."""
    from framework.__main__ import main

    examples = Path(__file__).parents[3] / "examples"
    policy = framework.load(
        examples / "pendulum.toml", {"run.name": "medium", "run.total_steps": 40_000, "runtime.samplers": 0}
    )
    training = framework.train(policy, root=tmp_path)
    for _ in training:
        pass
    assert main(["record", str(training.directory), "pendulum/medium-v0", "--episodes", "250"]) == 0
    import minari

    returns = [float(episode.rewards.sum()) for episode in minari.load_dataset("pendulum/medium-v0")]
    mean = sum(returns) / len(returns)
    cloned = {
        "algorithm": {"use": "bc", "learning_rate": 1e-3},
        "run.total_steps": 15_000,
        "evaluation.deterministic": False,
        "evaluation.episodes": 50,
    }
    *_, last = framework.train(
        framework.load(examples / "pendulum-iql.toml", {**cloned, "runtime.samplers": 0}), root=tmp_path
    )
    assert last.evaluation is not None
    assert abs(last.evaluation["evaluation/return"] - mean) < 100
    pipeline = framework.load(examples / "pendulum-iql.toml", {"runtime.samplers": 0})
    scores = {
        update.steps: update.evaluation["evaluation/return"]
        for update in framework.train(pipeline, root=tmp_path)
        if update.evaluation
    }
    assert scores[15_000] > mean + 200
    assert scores[25_000] > -300

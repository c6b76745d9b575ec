"""Runs whose environment takes nested actions, with masks by part: the same bits whoever plays, killed or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import runs

import framework
from framework.__main__ import main
from framework.errors import EXIT_USAGE
from framework.pipeline.build import build_environment
from framework.runtime.evaluate.evaluate_run import evaluate_run
from framework.runtime.rollout.environments import make_environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "golf.py"
#: What learns from past actions, and from what they led to, beside the algorithm.
PIPELINE = (
    runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "golf:Golf"').replace("2048", "512")
    + '[replay]\nuse = "prioritized"\ncapacity = 512\n[[bonus]]\nuse = "icm"\n[[bonus]]\nuse = "rnd"\n'
)


def write(folder: Path) -> Path:
    """The pipeline, and the environment beside it."""
    path = runs.write(folder, PIPELINE)
    shutil.copy(EXAMPLE, folder)
    return path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run without samplers."""
    folder = tmp_path_factory.mktemp("reference")
    return runs.run(write(folder), folder, runtime__samplers=0)


def test_samplers_and_kills_change_nothing(reference: Path, tmp_path: Path) -> None:
    """Played by two samplers, killed and resumed, the run ends with the same bits."""
    directory = runs.kill_and_resume(write(tmp_path), tmp_path / "killed", [2], ("runtime.samplers=2",))
    runs.assert_equal_runs(reference, directory)
    assert not runs.events(directory, "not_replayable")


def test_the_agent_acts_as_the_environment_takes_it(reference: Path) -> None:
    """With a mask as the environment gives it; evaluations go through."""
    agent = framework.load_agent(reference, "last", trust=True)
    environment = make_environment(build_environment(framework.load_run(reference, trust=True)))
    observation, info = environment.reset(seed=0)
    for _ in range(5):
        action = agent.act(observation, info["action_mask"])
        assert environment.action_space.contains(action)
        assert info["action_mask"]["choice"][action["choice"]]
        observation, _, _, _, info = environment.step(action)
    assert evaluate_run(reference, checkpoint="last", trust=True)


def test_who_compares_all_actions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` says of dqn which action space it needs, and what to use instead."""
    path = write(tmp_path)
    path.write_text(PIPELINE.replace('use = "ppo"\nminibatch_size = 64\nepochs = 2', 'use = "dqn"'))
    assert main(["check", str(path), "--build"]) == EXIT_USAGE
    errors = capsys.readouterr().err
    assert "dqn needs a Discrete action space" in errors
    assert "this one is ParameterizedActions({'drive': Box(-1.0, 1.0, (2,), float32)" in errors
    assert "use another algorithm, such as ppo" in errors

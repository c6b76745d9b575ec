"""Research episodes that benchmarks play: with a run's policy, and with functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runs import run, write

import research_factbook
import research_figures
from framework_research.policies import experts
from framework_research.vector import ResearchVectorEnv
from measure.research_play import FIRST_SEED, environment_of, play

PIPELINE = """\
[run]
total_steps = 64
[environment]
use = "research"
task_complexity = 0.0
max_steps = 20
[encoder]
use = "multimodal"
depth = 1
width = 8
parts = { page = { use = "mlp", hidden = [8] }, figure = { use = "cnn", channels = [2], kernels = [8], strides = [8] } }
[algorithm]
use = "ppo"
share_encoder = true
[sampling]
environments = 4
rollout_length = 16
[evaluation]
episodes = 0
[runtime]
samplers = 0
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return run(write(folder, PIPELINE), folder)


def test_environments_are_those_of_the_run_but_for_changes(trained: Path) -> None:
    """Mode and limit stay; what is said otherwise does not."""
    config = environment_of(trained, 3, task_complexity=0.5, split="test").episodes._config
    assert (config.observation_mode, config.max_steps) == ("multimodal", 20)
    assert (config.task_complexity, config.split) == (0.5, "test")


def test_every_environment_plays_one_episode(trained: Path) -> None:
    """From the first seed on, until all are over, with what the policy sees changed at every step."""
    environment, masks = environment_of(trained, 40), []

    def change(observations: dict[str, np.ndarray], playing: np.ndarray) -> None:
        masks.append(playing.copy())
        observations["page"][:] = 1000.0

    success = play(trained, environment, change)
    np.testing.assert_array_equal(environment.episodes.worlds["seed"], FIRST_SEED + np.arange(40))
    assert masks[0].all()
    assert not (~masks[0] & masks[1]).any()
    assert len(masks) <= 20
    np.testing.assert_array_equal(success, environment.episodes.succeeded)
    misled = environment.episodes.browsers["steps"].copy()
    play(trained, environment)
    assert (environment.episodes.browsers["steps"] != misled).any()


def test_pictures_of_others_are_shown_where_there_is_one() -> None:
    """In the place of each picture that is seen, and nowhere else."""
    observations = {"figure": np.zeros((4, 3, 48, 48), np.uint8)}
    observations["figure"][[1, 2]] = 7
    research_figures._shuffled(np.full((5, 3, 48, 48), 9, np.uint8))(observations, np.array([True, True, False, True]))
    assert observations["figure"].max((1, 2, 3)).tolist() == [0, 9, 7, 0]


def test_functions_play_every_episode() -> None:
    """The expert succeeds in all of them, random actions in hardly any."""
    for policy, least, most in ((experts.expert, 60, 60), (experts.random_legal, 0, 6)):
        environment = ResearchVectorEnv(60, task_complexity=0.2, observation_mode="state", max_steps=50)
        success = research_factbook._script(policy, environment)
        assert least <= success.sum() <= most
        assert (environment.episodes.terminated | environment.episodes.truncated).all()

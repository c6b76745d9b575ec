"""Runs of continuous actions: equal bits with any number of samplers, and when resumed amid noise."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import runs

import framework

ASYMMETRIC = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict


class Pendulum(gymnasium.ObservationWrapper):
    def __init__(self):
        super().__init__(gymnasium.make("Pendulum-v1"))
        space = self.env.observation_space
        self.observation_space = Dict({"sensors": Box(-8, 8, (2,), np.float32), "state": space})

    def observation(self, observation):
        return {"sensors": observation[:2], "state": observation}
"""
OPTIONS = """
action_distribution = "squashed"
gsde = true
gsde_interval = 5
normalize_observations = true
policy_observations = ["sensors"]
value_encoder = { use = "mlp", hidden = [8] }
entropy_coefficient_schedule = "linear"
"""
PIPELINE = (
    runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "asymmetric:Pendulum"')
    .replace("epochs = 2", f"epochs = 2{OPTIONS}")
    .replace("total_steps = 2048", "total_steps = 1024")
)


def write(folder: Path) -> Path:
    """The pipeline file and the environment beside it."""
    path = runs.write(folder, PIPELINE)
    (folder / "asymmetric.py").write_text(ASYMMETRIC)
    return path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run in one process, at lag 1."""
    folder = tmp_path_factory.mktemp("reference")
    return runs.run(write(folder), folder, runtime__samplers=0)


def test_number_of_samplers_changes_nothing(reference: Path, tmp_path: Path) -> None:
    """Each environment's noise is drawn by the trajectory that it belongs to, whoever collects it."""
    runs.assert_equal_runs(reference, runs.run(write(tmp_path), tmp_path, runtime__samplers=2))


def test_a_resumed_run_goes_on_with_the_noise_that_it_had(reference: Path, tmp_path: Path) -> None:
    """Left after updates that end amid an interval, and resumed, it is the same run."""
    pipeline = framework.load(write(tmp_path), {"runtime.samplers": 0})
    directory: Path | None = None
    for stop in (2, 5, 8):
        session = runs.Session(pipeline, root=tmp_path / "runs", resume=directory)
        directory = session.directory
        with closing(session.updates()) as updates:
            next(update for update in updates if update.number == stop)
            if stop == 8:
                assert next(updates, None) is None
    assert directory is not None
    runs.assert_equal_runs(reference, directory)

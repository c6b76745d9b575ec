"""Runs whose episodes never end, with snapshots and without."""

from pathlib import Path

import pytest
import runs

import framework
from framework.runtime.disk.checkpoint import checkpoints, load

ENVIRONMENT = """
import json
import gymnasium, numpy as np
from gymnasium.spaces import Box, Discrete

class Endless(gymnasium.Env):
    observation_space = Box(-10, 10, (3,), np.float32)
    action_space = Discrete(2)
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.normal(size=3)
        return self.place.astype(np.float32), {}
    def step(self, action):
        self.place = 0.9 * self.place + (action - 0.5) * self.np_random.random(3)
        return self.place.astype(np.float32), float(self.place[0]), False, False, {}

class Snapshotting(Endless):
    def save_snapshot(self):
        return json.dumps([self.place.tolist(), self.np_random.bit_generator.state]).encode()
    def load_snapshot(self, snapshot):
        place, self.np_random.bit_generator.state = json.loads(snapshot)
        self.place = np.array(place)
        return self.place.astype(np.float32), {}

class Environment:
    def __init__(self, config, context):
        pass
    def make(self):
        return MADE()
"""
UPDATES = 12
#: 128 steps of each environment in an update: snapshots are due after 8 updates.
PIPELINE = (
    runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "made:Environment"')
    .replace("environments = 8\nshard = 2\nrollout_length = 16", "environments = 4\nshard = 2\nrollout_length = 128")
    .replace("total_steps = 2048", f"total_steps = {UPDATES * 4 * 128}")
    .replace("[evaluation]\nepisodes = 2", "[evaluation]\nepisodes = 0")
)


def write(folder: Path, environment: str) -> Path:
    path = runs.write(folder, PIPELINE)
    (folder / "made.py").write_text(ENVIRONMENT.replace("MADE", environment))
    return path


@pytest.fixture(scope="module", params=["Endless", "Snapshotting"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pipeline file, and an undisturbed run of it in this process."""
    folder = tmp_path_factory.mktemp(request.param)
    path = write(folder, request.param)
    return path, runs.run(path, folder, runtime__samplers=0)


def test_a_resumed_run_is_the_same(reference: tuple[Path, Path], tmp_path: Path) -> None:
    """Left after 10 updates of 12, when the episodes have snapshots after 8, or all of their actions."""
    path, undisturbed = reference
    stopped = runs.session(path, tmp_path, runtime__samplers=0)
    for update in stopped.updates():
        if update.number == 10:
            break
    shards = load(checkpoints(stopped.directory / "checkpoints")[-1])["shards"]
    snapshots = "snapshots/data" in shards["0"]
    assert [shard["lengths"].tolist() for shard in shards.values()] == [[256 if snapshots else 1280] * 2] * 2
    for _ in framework.train(framework.load_run(stopped.directory), resume=stopped.directory):
        pass
    runs.assert_equal_runs(undisturbed, stopped.directory)
    assert not runs.events(stopped.directory, "not_replayable")


@pytest.mark.slow  # CI runs it
@pytest.mark.parametrize("samplers", [1, 2])
def test_number_of_samplers_changes_nothing(reference: tuple[Path, Path], tmp_path: Path, samplers: int) -> None:
    """Bit-equal with those that the snapshots come from over the wire."""
    path, undisturbed = reference
    runs.assert_equal_runs(undisturbed, runs.run(path, tmp_path, runtime__samplers=samplers))


@pytest.mark.slow  # CI runs it
def test_killed_runs_resume_exactly(reference: tuple[Path, Path], tmp_path: Path) -> None:
    """With two samplers, killed with -9 before and after the first snapshots."""
    path, undisturbed = reference
    directory = runs.kill_and_resume(path, tmp_path, [5, 10], ("runtime.samplers=2",))
    runs.assert_equal_runs(undisturbed, directory)
    assert not runs.events(directory, "not_replayable")


@pytest.mark.slow  # CI runs it
def test_what_is_too_long_is_said_once(tmp_path: Path) -> None:
    """By a run with samplers, which is resumed with other episodes then, and says which."""
    path = write(tmp_path, "Endless")
    stopped = runs.session(path, tmp_path, runtime__samplers=2, sampling__max_replay_steps=500)
    for update in stopped.updates():
        if update.number == 6:
            break
    (event,) = runs.events(stopped.directory, "episodes_too_long")
    assert (event["environments"], event["max_replay_steps"]) == ([0, 1, 2, 3], 500)
    for _ in framework.train(framework.load_run(stopped.directory), resume=stopped.directory):
        pass
    events = runs.events(stopped.directory, "not_replayable")
    assert sorted(environment for event in events for environment in event["environments"]) == [0, 1, 2, 3]
    assert runs.metrics(stopped.directory)[-1]["update"] == UPDATES

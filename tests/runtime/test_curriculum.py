"""Runs with a curriculum."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs

from framework.errors import RunError

#: Environment and curriculum of a pipeline's own file: episodes as long as the task says, tasks that get longer with
#: the episodes that were played.
MINE = """
import gymnasium
import numpy as np


class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length = options["task"]["length"] if options else 3
        self.count = 0
        return self.look(), {}

    def step(self, action):
        self.count += 1
        over = self.count == self.length
        reward = float(action == (self.noise > 0.5))
        return self.look(), reward, over, False, {"success": self.length > 4} if over else {}

    def look(self):
        self.noise = self.np_random.random()
        return np.array([self.noise, self.count / 32], np.float32)


class Corridors:
    supports = {"tasks"}

    def __init__(self, config, context):
        pass

    def make(self):
        return Corridor()


class Longer:
    def __init__(self, config, context):
        self.length, self.heard = 2, 0

    def sample(self, count, rng):
        return [{"length": int(rng.integers(2, self.length + 1))} for _ in range(count)]

    def update(self, episodes):
        for episode in episodes:
            self.heard += 1
            assert episode["length"] == episode["task"]["length"], episode
            if episode["task"]["length"] == self.length:
                self.length = min(self.length + 1, 20)
        return {"longest": float(self.length), "heard": float(self.heard)}

    def state_dict(self):
        return {"length": self.length, "heard": self.heard}

    def load_state_dict(self, state):
        self.length, self.heard = state["length"], state["heard"]
"""
PIPELINE = runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "mine:Corridors"').replace(
    "[sampling]", '[curriculum]\nuse = "mine:Longer"\n\n[sampling]'
)


def write(folder: Path, text: str = PIPELINE, code: str = MINE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(code)
    return runs.write(folder, text)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run with two samplers at lag 1."""
    folder = tmp_path_factory.mktemp("reference")
    return runs.run(write(folder), folder, runtime__samplers=2)


def test_episodes_come_back_with_their_tasks(reference: Path) -> None:
    """Each finished episode was played on its recorded task, and the curriculum heard of all of them."""
    episodes = list(runs.lines(reference, "episodes.jsonl"))
    assert all(episode["length"] == episode["task"]["length"] for episode in episodes)
    assert max(episode["length"] for episode in episodes) > 6
    last = [line for line in runs.metrics(reference) if "curriculum/heard" in line][-1]
    assert last["curriculum/heard"] == last["episodes"] == len(episodes)


def test_number_of_samplers_changes_nothing(reference: Path, tmp_path: Path) -> None:
    """Which tasks are played, and all that follows from them, is the same whoever collects."""
    runs.assert_equal_runs(reference, runs.run(write(tmp_path), tmp_path, runtime__samplers=0))


def test_evaluations_may_have_tasks_of_their_own(tmp_path: Path) -> None:
    """They are played in turn."""
    tasks = [{"length": 5}, {"length": 9}]
    directory = runs.run(
        write(tmp_path), tmp_path, evaluation__tasks=tasks, evaluation__episodes=4, runtime__samplers=0
    )
    line = runs.metrics(directory)[-1]
    assert (line["evaluation/length"], line["evaluation/success"]) == (7.0, 1.0)


def test_a_task_that_is_no_plain_value_ends_the_run(tmp_path: Path) -> None:
    """With a message that names the curriculum."""
    code = MINE.replace("int(rng.integers(2, self.length + 1))", "np.float32(3)")
    with pytest.raises(RunError, match="the curriculum gave a task that is no plain value"):
        runs.run(write(tmp_path, code=code), tmp_path, runtime__samplers=0)

"""Whole runs with each curriculum, on an environment whose episodes are as long as their task says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import runs

import framework
from framework.catalog import default_catalog
from framework.errors import RunError
from framework.runtime.session import Session

MINE = '''
import gymnasium
import numpy as np

from framework_ppo.config import PPOConfig
from framework_ppo.ppo import PPO


class Guess(gymnasium.Env):
    """Say whether a number is large; one mistake, and the episode fails. The task is how many there are, in tens."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length = max(1, round(10 * options["task"])) if options else 5
        self.right = 0
        return self.look(), {}

    def step(self, action):
        wrong = action != (self.number > 0.5)
        self.right += not wrong
        over = wrong or self.right == self.length
        return self.look(), 1.0 - wrong, over, False, {"success": not wrong} if over else {}

    def look(self):
        self.number = self.np_random.random()
        return np.array([self.number], np.float32)


class Guesses:
    supports = {"tasks"}

    def __init__(self, config, context):
        pass

    def make(self):
        return Guess()


class Scored(PPO):
    """Says that there was more to learn from late rewards."""

    Config = PPOConfig

    def update(self, batch):
        self.scores = batch.final_index.numpy() / batch.steps
        return super().update(batch)

    def episode_scores(self):
        return self.scores
'''
TASKS = "tasks = [0.1, 0.2, 0.4, 0.8]"
OPTIONS = {
    "fixed": TASKS,
    "threshold": "",
    "learnability": TASKS,
    "learning_progress": TASKS,
    "prioritized_level_replay": TASKS,
}


def write(folder: Path, use: str, options: str) -> Path:
    text = runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "mine:Guesses"')
    text = text.replace('use = "ppo"', 'use = "mine:Scored"')
    path = runs.write(folder, text.replace("[sampling]", f'[curriculum]\nuse = "{use}"\n{options}\n\n[sampling]'))
    (folder / "mine.py").write_text(MINE)
    return path


@pytest.mark.parametrize("use", sorted(OPTIONS))
def test_a_resumed_run_equals_a_straight_one(use: str, tmp_path: Path) -> None:
    """Tasks, episodes and metrics are the same, bit for bit, and the curriculum's metrics are recorded."""
    path = write(tmp_path, use, OPTIONS[use])
    path.write_text(path.read_text().replace("total_steps = 2048", "total_steps = 1152"))
    straight = runs.run(path, tmp_path / "straight", runtime__samplers=0)
    stopped = runs.session(path, tmp_path / "stopped", runtime__samplers=0)
    with closing(stopped.updates()) as updates:
        for _ in range(4):
            next(updates)
    for _ in Session(framework.load(path, {"runtime.samplers": 0}), resume=stopped.directory).updates():
        pass
    runs.assert_equal_runs(straight, stopped.directory)
    assert {episode["task"] for episode in runs.lines(straight, "episodes.jsonl")} > {0.1}
    assert (use == "fixed") != any(name.startswith("curriculum/") for line in runs.metrics(straight) for name in line)


def test_levels_rise_with_skill(tmp_path: Path) -> None:
    """A policy that learns to say which numbers are large reaches a higher level than it started from."""
    path = write(tmp_path, "threshold", "")
    more = {"algorithm__learning_rate": 0.01, "checkpoint__every_seconds": 100.0, "run__total_steps": 4096}
    directory = runs.run(path, tmp_path / "runs", runtime__samplers=0, **more)
    levels = [line["curriculum/level"] for line in runs.metrics(directory) if "curriculum/level" in line]
    assert levels[-1] > 0.15


def test_every_curriculum_is_offered() -> None:
    """By its bare name."""
    assert set(default_catalog().names("curriculum")) >= OPTIONS.keys()


def test_success_must_be_told(tmp_path: Path) -> None:
    """A run whose environment does not say it ends at the first episode, with a message that helps."""
    path = write(tmp_path, "learnability", TASKS)
    (tmp_path / "mine.py").write_text(MINE.replace('{"success": not wrong} if over else {}', "{}"))
    with pytest.raises(RunError, match=r"set curriculum\.success_return"):
        runs.run(path, tmp_path / "runs", runtime__samplers=0)

"""Pipelines with an environment that does something else beside, in each of its steps."""

from __future__ import annotations

from pathlib import Path

import runs

ENVIRONMENT = """
import gymnasium, numpy as np, os
from gymnasium.spaces import Box, Discrete

class Made(gymnasium.Env):
    observation_space = Box(-10, 10, (3,), np.float32)
    action_space = Discrete(2)
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.normal(size=3).astype(np.float32), {}
    def step(self, action):
        self.steps += 1
        observation = self.np_random.normal(size=3).astype(np.float32)
        reward = 1.0
        BODY
        return observation, reward, self.steps >= 20, False, {}

class Environment:
    def __init__(self, config, context):
        pass
    def make(self):
        return Made()
"""


def write_pipeline(folder: Path, body: str = "pass", **changes: str) -> Path:
    """A pipeline with an environment of which each step also does ``body``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.py").write_text(ENVIRONMENT.replace("BODY", body))
    text = runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "made:Environment"')
    for old, new in changes.items():
        text = text.replace(old, new)
    return runs.write(folder, text)

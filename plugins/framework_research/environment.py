"""ResearchEnv: questions that are answered by searching, reading, looking at figures and taking notes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from framework_research.rules import ACTIONS, BROWSER, begin, legal, step
from framework_research.synthetic import Synthetic
from framework_research.view import FEATURES, TOKENS, look
from framework_research.world import WORLD


class Desks:
    """``count`` worlds with a browser each, as arrays: what `ResearchEnv` and its vector version are made of."""

    def __init__(self, count: int, *, split: str, gamma: float, dense: bool, max_steps: int):
        self._corpus = Synthetic(split)
        self._gamma, self._dense, self._limit = gamma, dense, max_steps
        self.worlds, self.browsers = np.zeros(count, WORLD), np.zeros(count, BROWSER)
        self.masks = np.zeros((count, ACTIONS), bool)
        self.rewards = np.zeros(count)
        self.terminated = np.zeros(count, bool)

    def begin(self, index: slice, levels: np.ndarray, seeds: np.ndarray) -> None:
        """New worlds at ``index``, of these levels and seeds."""
        self._corpus.sample(self.worlds[index], levels, seeds)
        _begin(self.worlds[index], self.browsers[index], self.masks[index])

    def step(self, actions: np.ndarray) -> None:
        """One action [N] int64 at each desk."""
        step(
            self.worlds, self.browsers, actions, self.masks, self._gamma, self._dense, self.rewards, self.terminated
        )

    def rows(self) -> np.ndarray:
        """What can be seen, [N, 31, 48] float32."""
        rows = np.empty((len(self.worlds), TOKENS, FEATURES), np.float32)
        look(self.worlds, self.browsers, self._limit, rows)
        return rows


from framework_research.chance import compiled  # noqa: E402


@compiled
def _begin(worlds, browsers, masks):
    for at in range(len(worlds)):
        begin(browsers[at])
        legal(worlds[at], browsers[at], masks[at])


class ResearchEnv(gymnasium.Env[Any, np.int64]):
    def __init__(self, task_complexity: float = 0.5, *, split: str = "train", reward_shaping: str = "dense", max_steps: int = 1000, gamma: float = 0.99):
        self.observation_space = Box(-1.0, 1.0, (TOKENS, FEATURES), np.float32)
        self.action_space = Discrete(ACTIONS)
        self._level, self._max = task_complexity, max_steps
        self._desk = Desks(1, split=split, gamma=gamma, dense=reward_shaping == "dense", max_steps=max_steps)
        self._actions = np.zeros(1, np.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        level, world = self._level, int(self.np_random.integers(2**63))
        self._desk.begin(slice(0, 1), np.array([float(level)]), np.array([world], np.uint64))
        return self._desk.rows()[0], {"action_mask": self._desk.masks[0].copy()}

    def step(self, action: Any) -> Any:
        desk = self._desk
        self._actions[0] = action
        desk.step(self._actions)
        browser = desk.browsers[0]
        terminated = bool(desk.terminated[0])
        truncated = not terminated and int(browser["steps"]) >= self._max
        info: dict[str, Any] = {"action_mask": desk.masks[0].copy()}
        if terminated or truncated:
            info["success"] = int(browser["succeeded"]) == int(desk.worlds[0]["questions"])
        return desk.rows()[0], float(desk.rewards[0]), terminated, truncated, info

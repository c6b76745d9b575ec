"""Research environments driven by hand, or by a policy."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework_research.browser import rules
from framework_research.environment import ResearchEnv
from framework_research.worlds.world import STATED


class Played:
    """An environment and what it shows, to be driven by hand."""

    def __init__(self, level: float, seed: int = 0, *, observation_mode: str = "state", **options: Any):
        self.environment = ResearchEnv(task_complexity=level, observation_mode=observation_mode, **options)
        _, info = self.environment.reset(seed=seed)
        self.mask = info["action_mask"]
        self.rewards: list[float] = []

    @property
    def world(self) -> Any:
        return self.environment.desks.worlds[0]

    @property
    def browser(self) -> Any:
        return self.environment.desks.browsers[0]

    def act(self, action: int) -> float:
        assert self.mask[action], "illegal"
        _, reward, self.terminated, _, info = self.environment.step(action)
        self.mask = info["action_mask"]
        self.rewards.append(reward)
        return reward

    def open(self, entity: int) -> None:
        """Search the question's first entity, which must be this one, and open its document."""
        self.act(rules.SEARCH_QUESTION)
        self.act(rules.OPEN + self.browser["results"].tolist().index(entity))

    def note_next(self) -> None:
        """Find the next piece of evidence and note it, from its subject's document on."""
        hop = int(self.browser["noted"])
        subject = int(self.world["chain"][self.browser["question"], hop])
        relation = int(self.world["asked"][self.browser["question"], hop])
        if hop:
            self.act(rules.SEARCH_NOTE + hop - 1)
            self.act(rules.OPEN + self.browser["results"].tolist().index(subject))
        else:
            self.open(subject)
        while not self._noted(subject, relation):
            self.act(rules.FIND + hop)

    def _noted(self, subject: int, relation: int) -> bool:
        page = self.browser["page"]
        lines = (self.world["subject"][subject, page] == subject) & (self.world["relation"][subject, page] == relation)
        if not lines.any():
            return False
        if relation < STATED:
            self.act(rules.NOTE + int(np.flatnonzero(lines)[0]))
        else:
            self.act(rules.VIEW_FIGURE)
            hop = int(self.browser["noted"])
            target = self.world["chain"][self.browser["question"], hop + 1]
            self.act(rules.NOTE_BAR + self.world["bar_entity"][subject].tolist().index(target))
        return True


def play(environment: ResearchEnv, policy: Any, seed: int) -> tuple[list[float], bool]:
    """Rewards and success of an episode."""
    rewards, info = episode(environment, policy, seed)
    return rewards, info["success"]


def episode(environment: ResearchEnv, policy: Any, seed: int) -> tuple[list[float], dict[str, Any]]:
    """Rewards of an episode, and the info of its last step."""
    rng = np.random.default_rng(seed)
    rows, info = environment.reset(seed=seed)
    rewards = []
    while True:
        rows, reward, terminated, truncated, info = environment.step(policy(rows, info["action_mask"], rng))
        rewards.append(reward)
        if terminated or truncated:
            return rewards, info

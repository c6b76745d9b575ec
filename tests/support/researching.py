"""Research worlds, and research environments driven by hand or by a policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from framework_research.browser import actions
from framework_research.environment import ResearchEnv
from framework_research.worlds.corpus import Corpus
from framework_research.worlds.synthetic import Synthetic
from framework_research.worlds.world import SECOND, SHORTEST, STATED, TALLEST, WORLD


def sample_worlds(corpus: Corpus, level: float, count: int) -> np.ndarray:
    """Worlds [count] of a corpus, of the seeds from 0 on."""
    worlds = np.zeros(count, WORLD)
    corpus.sample(worlds, np.full(count, level), np.arange(count, dtype=np.uint64))
    return worlds


def synthetic_world(level: float, seed: int, split: str = "train") -> np.void:
    """One made-up world."""
    worlds = np.zeros(1, WORLD)
    Synthetic(split).sample(worlds, np.array([level]), np.array([seed], np.uint64))
    return worlds[0]


def hops(world: np.void) -> Iterator[tuple[int, int, int]]:
    """(subject, relation, object) of each hop of each question, as places in the world."""
    for question in range(world["questions"]):
        for hop in range(world["hops"][question]):
            chain = world["chain"][question]
            yield int(chain[hop]), int(world["asked"][question, hop]), int(chain[hop + 1])


def asked_bar(world: np.void, entity: int) -> int:
    """The entity that a document's figure is about, by its rule."""
    order = np.argsort(-world["bar_height"][entity][: world["bars"]])
    place = {TALLEST: 0, SHORTEST: -1, SECOND: 1}[int(world["figure_rule"][entity])]
    return int(world["bar_entity"][entity][order[place]])


class Played:
    """An environment and what it shows, to be driven by hand."""

    def __init__(self, level: float, seed: int = 0, *, observation_mode: str = "state", **options: Any):
        self.environment = ResearchEnv(task_complexity=level, observation_mode=observation_mode, **options)
        _, info = self.environment.reset(seed=seed)
        self.mask = info["action_mask"]
        self.rewards: list[float] = []

    @property
    def world(self) -> Any:
        return self.environment.episodes.worlds[0]

    @property
    def browser(self) -> Any:
        return self.environment.episodes.browsers[0]

    def act(self, action: int) -> float:
        assert self.mask[action], "illegal"
        _, reward, self.terminated, _, info = self.environment.step(action)
        self.mask = info["action_mask"]
        self.rewards.append(reward)
        return reward

    def open(self, entity: int) -> None:
        """Search the question's first entity, which must be this one, and open its document."""
        self.act(actions.SEARCH_QUESTION)
        self.act(actions.OPEN + self.browser["results"].tolist().index(entity))

    def note_next(self) -> None:
        """Find the next piece of evidence and note it, from its subject's document on."""
        hop = int(self.browser["noted"])
        subject = int(self.world["chain"][self.browser["question"], hop])
        relation = int(self.world["asked"][self.browser["question"], hop])
        if hop:
            self.act(actions.SEARCH_NOTE + hop - 1)
            self.act(actions.OPEN + self.browser["results"].tolist().index(subject))
        else:
            self.open(subject)
        while not self._noted(subject, relation):
            self.act(actions.FIND + hop)

    def _noted(self, subject: int, relation: int) -> bool:
        page = self.browser["page"]
        lines = (self.world["subject"][subject, page] == subject) & (self.world["relation"][subject, page] == relation)
        if not lines.any():
            return False
        if relation < STATED:
            self.act(actions.NOTE + int(np.flatnonzero(lines)[0]))
        else:
            self.act(actions.VIEW_FIGURE)
            hop = int(self.browser["noted"])
            target = self.world["chain"][self.browser["question"], hop + 1]
            self.act(actions.NOTE_BAR + self.world["bar_entity"][subject].tolist().index(target))
        return True


def on_figure(**options: Any) -> Played:
    """The first document of a question, with a figure on its first page, not yet open."""
    for seed in range(200):
        played = Played(0.7, seed, **options)
        start = int(played.world["chain"][0, 0])
        if played.world["figure_page"][start] == 0:
            played.open(start)
            return played
    raise AssertionError("no such world")


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

"""Research environments that show a person what there is, played by who knows the world."""

from __future__ import annotations

from typing import Any

from framework_research.browser import actions
from framework_research.browser.shortest import shortest_episode
from framework_research.environment import ResearchEnv
from framework_research.worlds.names import spell


class Shown:
    """An environment with what it shows, played by the oracle up to the first action of a kind."""

    def __init__(self, level: float, mode: str = "ansi", seed: int = 0):
        self.environment = ResearchEnv(task_complexity=level, render_mode=mode, reward_shaping="sparse")
        self.environment.reset(seed=seed)
        self.world, self.browser = self.environment.episodes.worlds[0], self.environment.episodes.browsers[0]
        self.actions = shortest_episode(self.world).tolist()

    def until(self, first: int, last: int) -> int:
        """Acts until an action between them would be next, which it gives back."""
        while not first <= self.actions[0] <= last:
            self.act()
        return self.actions[0]

    def act(self) -> None:
        self.environment.step(self.actions.pop(0))

    def render(self) -> Any:
        return self.environment.render()

    def name(self, entity: int) -> str:
        return spell(self.world["name"][entity])


def with_figure(mode: str) -> Shown:
    """A world in which a figure has to be looked at."""
    candidates = (Shown(0.5, mode, seed) for seed in range(100))
    return next(candidate for candidate in candidates if actions.VIEW_FIGURE in candidate.actions)

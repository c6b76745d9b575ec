"""Tasks by the advantages of their last episode, and by staleness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from framework.errors import RunError
from framework.interfaces import Context
from framework_curricula.config import PrioritizedLevelReplayConfig
from framework_curricula.tasks import TaskList, effective_tasks, proportional


class PrioritizedLevelReplay:
    """Prioritized level replay (arXiv:2010.03934): a task's score is the mean absolute advantage of its last episode.

    With a probability of the share of tasks that were played already, one of these is drawn: by
    ``rank ** (-1 / temperature)`` of its score, or, with a share of ``staleness``, in proportion to the episodes since
    it was last played. Otherwise a new task is drawn uniformly. Equal scores have equal ranks. Episodes without a score
    change nothing; where not even the first ones have any, `update` raises `RunError`.
    """

    def __init__(self, config: PrioritizedLevelReplayConfig, context: Context):
        self._config = config
        self._tasks = TaskList(config.all_tasks())
        self._scores = np.zeros(len(self._tasks))
        self._last = np.full(len(self._tasks), -1, np.int64)  # episodes there had been when it was last played
        self._episodes = 0

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        """See `framework.interfaces.Curriculum`."""
        return self._tasks.draw(count, self._probabilities(), rng)

    def update(self, episodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """See `framework.interfaces.Curriculum`."""
        episodes = list(episodes)
        scored = [(episode["task"], episode["score"]) for episode in episodes if "score" in episode]
        if episodes and not scored and not self._played().any():
            raise RunError(
                "prioritized_level_replay needs to know how much there was to learn from each episode, and the"
                " algorithm does not say: take one that has episode_scores, or another curriculum"
            )
        results = self._tasks.by_place(scored)
        self._episodes += sum(map(len, results.values()))
        for place, scores in results.items():
            self._scores[place] = sum(scores) / len(scores)
            self._last[place] = self._episodes
        played = self._played()
        return {
            "score": float(self._scores[played].mean()) if played.any() else 0.0,
            "seen": float(played.mean()),
            "effective_tasks": effective_tasks(self._probabilities()),
        }

    def state_dict(self) -> dict[str, Any]:
        """The score of each task, and when it was last played."""
        return {"scores": self._scores.tolist(), "last": self._last.tolist(), "episodes": self._episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._scores = self._tasks.restored(state["scores"])
        self._last = self._tasks.restored(state["last"])
        self._episodes = state["episodes"]

    def _played(self) -> np.ndarray:
        return self._last >= 0

    def _probabilities(self) -> np.ndarray:
        played = self._played()
        result = np.full(len(self._tasks), 1 / len(self._tasks))
        if played.any():
            by_score = proportional(ranks(self._scores[played]) ** (-1 / self._config.temperature))
            by_age = proportional((self._episodes - self._last[played]).astype(np.float64))
            share = self._config.staleness
            result[played] = played.mean() * ((1 - share) * by_score + share * by_age)
        return result


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks of ``scores`` [K], float64: 1 for the largest; equal scores share the best of their ranks."""
    return len(scores) + 1.0 - np.searchsorted(np.sort(scores), scores, side="right")

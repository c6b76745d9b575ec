"""Replay of the episodes in progress, from their seeds and their actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from framework.runtime.rollout.episode_stats import EpisodeStats
    from framework.runtime.rollout.vector import Vector


def replay_episodes(
    vector: Vector, actions: Sequence[np.ndarray], reset: Callable[[np.ndarray], None], stats: EpisodeStats
) -> None:
    """Bring each environment to where its episode stands after its ``actions`` [L, ...], all of them at once.

    Episodes differ in length, and all must arrive in the last step. So a shorter one is played over and over: the last
    pass, which is the one that counts, starts just in time. ``reset`` starts the episodes of some environments again,
    in ``stats`` too.
    """
    longest = max(actions, key=len)
    reset(np.arange(vector.count))
    for step in range(len(longest)):
        positions = [(len(episode) - len(longest) + step) % len(episode) if len(episode) else 0 for episode in actions]
        again = np.array([n for n, position in enumerate(positions) if position == 0 and step > 0], np.int64)
        if again.size:
            reset(again)
        vector.step(
            np.stack(
                [
                    episode[position] if len(episode) else longest[0]
                    for episode, position in zip(actions, positions, strict=True)
                ]
            )
        )
        stats.returns += vector.rewards
        stats.lengths += vector.valid
        over = np.flatnonzero(vector.terminated | vector.truncated)
        if over.size:  # only ever in a pass that does not count
            reset(over)
    fresh = np.array([n for n, episode in enumerate(actions) if not len(episode)], np.int64)
    if fresh.size:
        reset(fresh)

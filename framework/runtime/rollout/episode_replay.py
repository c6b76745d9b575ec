"""Replay of the episodes in progress, from their seeds and their actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.toolkit.spaces import action_parts, mask_groups

if TYPE_CHECKING:
    from framework.runtime.rollout.episode_stats import EpisodeStats
    from framework.runtime.rollout.vector import Vector


def replay_episodes(
    vector: Vector, actions: Sequence[np.ndarray], reset: Callable[[np.ndarray], None], stats: EpisodeStats
) -> None:
    """Bring each environment to where its episode stands after its ``actions`` [L, ...], all of them at once.

    Episodes differ in length, and all must arrive in the last step. So a shorter one starts just in time; until then
    its environment is stepped with any legal actions. ``reset`` starts the episodes of some environments again, in
    ``stats`` too.
    """
    longest = max(actions, key=len)
    starts = np.array([len(longest) - len(episode) for episode in actions])
    reset(np.arange(vector.count))
    for step in range(len(longest)):
        if step:
            _reset_some(starts == step, reset)
        vector.step(
            np.stack(
                [
                    episode[step - start] if step >= start else _any_action(vector, n, longest[0])
                    for n, (episode, start) in enumerate(zip(actions, starts.tolist(), strict=True))
                ]
            )
        )
        stats.returns += vector.rewards
        stats.lengths += vector.valid
        # Only ever before an episode starts, or where its environment is not deterministic.
        _reset_some(vector.terminated | vector.truncated, reset)
    if len(longest):
        _reset_some(starts == len(longest), reset)


def _reset_some(which: np.ndarray, reset: Callable[[np.ndarray], None]) -> None:
    if which.any():
        reset(np.flatnonzero(which))


def _any_action(vector: Vector, n: int, like: np.ndarray) -> Any:
    """An action that environment ``n`` can take now: ``like``, or where there are masks the first legal one."""
    if vector.action_mask is None:
        return like
    space = vector.action_space
    groups = np.split(vector.action_mask[n], np.cumsum(mask_groups(space))[:-1])
    first = np.array([group.argmax() for group in groups])
    parts = action_parts(space)
    if not parts:
        return (first.reshape(np.shape(like)) + getattr(space, "start", 0)).astype(np.asarray(like).dtype)
    action = like.copy()  # where choices are numbered from 0
    columns = [np.arange(len(action))[part.columns] for part in parts.values() if mask_groups(part.space)]
    action[np.concatenate(columns)] = first
    return action

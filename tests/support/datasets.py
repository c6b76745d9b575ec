"""Small datasets in Minari's format, written as `framework record` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from framework_replay import record

pytest.importorskip("minari")

PLAIN = Box(-1, 1, (3,), np.float32)
CHOICE = Discrete(3)


def write(
    lengths: list[int],
    observations: Space[Any] = PLAIN,
    actions: Space[Any] = CHOICE,
    *,
    name: str = "test/small-v0",
    terminated: bool = True,
    changes: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Write random episodes of these lengths; returns their columns. ``changes`` replace columns of every episode."""
    observations.seed(1)
    actions.seed(1)
    rng = np.random.default_rng(0)
    episodes = []
    for number, length in enumerate(lengths):
        ended = np.arange(length) == length - 1
        by_itself = terminated and number % 2 == 0
        episodes.append(
            {
                "observations": record.column(observations, [observations.sample() for _ in range(length + 1)]),
                "actions": record.column(actions, [actions.sample() for _ in range(length)]),
                "rewards": rng.normal(size=length),
                "terminations": ended & by_itself,
                "truncations": ended & (not by_itself),
                "infos": {},
                **(changes or {}),
            }
        )
    record.write(name, observations, actions, episodes)
    return episodes

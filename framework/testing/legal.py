"""Masks of any action space, and random actions that they allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Discrete, MultiDiscrete, Space, Tuple

from framework.toolkit.spaces import action_parts, mask_groups, mask_size, pick


def one_illegal_each(space: Space[Any], rng: np.random.Generator) -> np.ndarray:
    """A mask [M] that forbids a random choice of each group of two or more."""
    groups = [np.arange(size) != rng.integers(size) if size > 1 else np.ones(1, bool) for size in mask_groups(space)]
    return np.concatenate(groups)


def structured(space: Space[Any], mask: np.ndarray) -> Any:
    """A mask [M] as environments may give it, and as ``space.sample`` takes it: int8, by part where there are parts."""
    if isinstance(space, Dict):
        return {key: structured(part, row) for key, part, row in _by_part(space.spaces.items(), mask)}
    if isinstance(space, Tuple):
        return tuple(structured(part, row) for _, part, row in _by_part(enumerate(space.spaces), mask))
    if not mask_groups(space):
        return None
    groups = np.split(mask.astype(np.int8), np.cumsum(mask_groups(space))[:-1])
    return tuple(groups) if isinstance(space, MultiDiscrete) else groups[0]


def _by_part(parts: Any, mask: np.ndarray) -> Iterator[tuple[Any, Space[Any], np.ndarray]]:
    for key, part in parts:
        size = mask_size(part) or 0
        yield key, part, mask[:size]
        mask = mask[size:]


def sample_legal(space: Space[Any], mask: np.ndarray | None) -> Any:
    """A random action that a mask [M] allows, as the environment takes it."""
    return space.sample() if mask is None else space.sample(structured(space, mask))


def is_legal(space: Space[Any], action: Any, mask: np.ndarray) -> bool:
    """Whether a mask [M] allows an action of the environment."""
    parts = [(part.space, pick(name, part.path, action)) for name, part in action_parts(space).items()]
    first = 0
    for part, value in parts or [(space, action)]:
        groups = mask_groups(part)
        choices = np.ravel(value - part.start) if isinstance(part, Discrete | MultiDiscrete) else ()
        for choice, size in zip(choices, groups, strict=True):
            if not mask[first + choice]:
                return False
            first += size
    return True

"""Research worlds of real facts, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from researching import sample_worlds

from framework_research.worlds.factbook.corpus import Factbook

LEVELS = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0]


def factbook_worlds(level: float, count: int = 200, split: str = "train") -> np.ndarray:
    """Worlds [count] of a split, of the seeds from 0 on."""
    return sample_worlds(Factbook(split), level, count)


def lines(world: np.void) -> Iterator[tuple[int, int, int]]:
    """(subject, relation, object) of all lines that state a fact."""
    stated = world["object"] >= 0
    yield from zip(*(world[part][stated].tolist() for part in ("subject", "relation", "object")), strict=True)


def figures(world: np.void) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(subject, heights, entities) of all figures."""
    for entity in np.flatnonzero(world["figure_page"] >= 0):
        bars = world["bars"]
        yield int(entity), world["bar_height"][entity][:bars], world["bar_entity"][entity][:bars]


def country(world: np.void, entity: int) -> int:
    """The number of the country that is at a place of a world."""
    return int(world["name"][entity, 0])

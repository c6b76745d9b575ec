"""Which countries are in a world of real facts, and at which places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from framework_research.worlds.chance import compiled


class Stage(NamedTuple):
    """Places in a world in the order in which they are filled, and who has which."""

    places: np.ndarray
    place: np.ndarray  #: of each country, or -1
    filled: np.ndarray  #: one number: how many places are


@compiled
def enter(world, stage, country):
    """Give a country a place in the world if it has none; gives the place."""
    if stage.place[country] < 0:
        place = stage.places[stage.filled[0]]
        stage.filled[0] += 1
        stage.place[country] = place
        world.name[place, 0] = country
    return stage.place[country]


@compiled
def leave(world, stage, count):
    """Send the last ones away, until so many are left."""
    while stage.filled[0] > count:
        stage.filled[0] -= 1
        place = stage.places[stage.filled[0]]
        stage.place[world.name[place, 0]] = -1
        world.name[place, 0] = -1

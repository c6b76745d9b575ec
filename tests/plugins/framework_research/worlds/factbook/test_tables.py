"""Which countries have a place in a world."""

from __future__ import annotations

import numpy as np

from framework_research.worlds.factbook.tables import CountryPlaces, add_country, remove_last_countries
from framework_research.worlds.world import ENTITIES, WORLD


def empty() -> tuple[np.void, CountryPlaces]:
    """A world without countries, whose places are filled from the last to the first; of 100 countries."""
    world = np.zeros(1, WORLD)[0]
    world["name"][:] = -1
    order = np.arange(ENTITIES)[::-1].copy()
    return world, CountryPlaces(order, np.full(100, -1, np.int64), np.zeros(1, np.int64))


def test_a_country_gets_one_place() -> None:
    """The next in the order; who has one already keeps it."""
    world, places = empty()
    assert [add_country(world, places, country) for country in (7, 42, 7, 99)] == [63, 62, 63, 61]
    assert world["name"][60:, 0].tolist() == [-1, 99, 42, 7]
    assert (places.filled[0], places.place_of[42], places.place_of[8]) == (3, 62, -1)


def test_the_last_ones_leave_first() -> None:
    """And leave nothing behind: their places are filled anew."""
    world, places = empty()
    for country in (7, 42, 99):
        add_country(world, places, country)
    remove_last_countries(world, places, 1)
    assert world["name"][60:, 0].tolist() == [-1, -1, -1, 7]
    assert (places.place_of >= 0).sum() == places.filled[0] == 1
    assert add_country(world, places, 5) == 62

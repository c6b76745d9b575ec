"""What worlds of real facts are made of: the tables of a split, and which countries have a place in a world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from framework_research.compiled import compiled


class SplitTables(NamedTuple):
    """What worlds of a split are made of. Tables are by country; rows of countries of other splits are empty."""

    countries: np.ndarray  #: the split's countries, those with most people first
    in_split: np.ndarray  #: [countries] bool: whether it is one of them
    facts: np.ndarray  #: [countries, 6]: objects, or -1
    partners: np.ndarray  #: [countries, partners]: to whom it exports, most first; -1 behind the last
    shares: np.ndarray  #: [countries, partners]: of its exports, in percent
    population: np.ndarray  #: [countries]
    passed: np.ndarray  #: [countries]: how probable it is that a chain that comes to one goes on from there
    accepted: np.ndarray  #: [countries]: and that it is accepted as the answer, where a chain ends there
    codes: np.ndarray  #: [countries, 16]
    lookalikes: np.ndarray  #: [countries, 3]: those of the split whose codes are the most similar


class CountryPlaces(NamedTuple):
    """Places in a world in the order in which countries fill them, and which country has which."""

    order: np.ndarray  #: [entities]: places
    place_of: np.ndarray  #: [countries]: its place, or -1
    filled: np.ndarray  #: [1]: how many places are


@compiled
def add_country(world, places, country):
    """Give a country a place in the world if it has none; gives the place."""
    if places.place_of[country] < 0:
        place = places.order[places.filled[0]]
        places.filled[0] += 1
        places.place_of[country] = place
        world.name[place, 0] = country
    return places.place_of[country]


@compiled
def remove_last_countries(world, places, count):
    """Take away the countries that came last, until ``count`` are left."""
    while places.filled[0] > count:
        places.filled[0] -= 1
        place = places.order[places.filled[0]]
        places.place_of[world.name[place, 0]] = -1
        world.name[place, 0] = -1

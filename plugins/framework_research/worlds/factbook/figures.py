"""Figures of real numbers: shares of export partners, or populations of countries."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.chance import integer_below, shuffle
from framework_research.worlds.factbook.countries import EXPORT_SHARES
from framework_research.worlds.factbook.tables import add_country
from framework_research.worlds.generation import random_figure_rule
from framework_research.worlds.world import BARS, SECOND, TALLEST

#: The tallest bar is so high, and all differ by at least so much.
_TALLEST_HEIGHT, _MIN_DIFFERENCE = 0.95, 0.1001


@compiled
def add_figure(world, tables, places, subject, relation, room):
    """Give a document a figure of real numbers; whether there was one.

    Its bars bring new countries where there is room for them, else they are of those in the world.
    """
    country, bars = np.int64(world.name[subject, 0]), world.bars
    may_add = places.filled[0] + bars <= room
    candidates = np.empty(len(tables.population), np.int64)
    values = np.empty(len(tables.population))
    count = 0
    for number in range(tables.partners.shape[1] if relation == EXPORT_SHARES else len(tables.countries)):
        candidate = np.int64(
            tables.partners[country, number] if relation == EXPORT_SHARES else tables.countries[number]
        )
        if candidate >= 0 and candidate != country and (may_add or places.place_of[candidate] >= 0):
            candidates[count] = candidate
            values[count] = (
                tables.shares[country, number] if relation == EXPORT_SHARES else tables.population[candidate]
            )
            count += 1
    order, picked = np.arange(BARS), np.empty(BARS, np.int64)
    shuffle(world, order, bars)
    for _ in range(100):
        if not _pick_distinct(world, values, count, picked):
            continue
        for bar in range(bars):
            world.bar_entity[subject, order[bar]] = add_country(world, places, candidates[picked[bar]])
            world.bar_height[subject, order[bar]] = _TALLEST_HEIGHT * values[picked[bar]] / values[picked[0]]
        world.figure_relation[subject] = relation
        world.figure_rule[subject] = random_figure_rule(world)
        return True
    return False


@compiled
def _pick_distinct(world, values, count, picked):
    """Some of ``count`` values that fall, the highest first; whether bars of them can be told apart."""
    bars = world.bars
    if count < bars:
        return False
    picked[0] = integer_below(world, count - bars + 1)
    unit = _TALLEST_HEIGHT / values[picked[0]]
    low = picked[0]  # the last whose bar is not too short
    while low + 1 < count and values[low + 1] * unit >= _MIN_DIFFERENCE:
        low += 1
    if low - picked[0] < bars - 1:
        return False
    for bar in range(1, bars):
        picked[bar] = picked[0] + 1 + integer_below(world, low - picked[0])
        for earlier in range(bar):
            if abs(values[picked[bar]] - values[picked[earlier]]) * unit < _MIN_DIFFERENCE:
                return False
    return True


@compiled
def remove_figure(world, subject):
    """Take a document's figure away."""
    world.figure_relation[subject] = -1
    world.figure_rule[subject] = TALLEST
    world.bar_entity[subject] = -1
    world.bar_height[subject] = 0.0


@compiled
def entity_asked_for(world, subject):
    """Whom a document's figure is about, by its rule."""
    rule, heights = world.figure_rule[subject], world.bar_height[subject]
    for bar in range(world.bars):
        higher = 0
        for rival in range(world.bars):
            higher += heights[rival] > heights[bar]
        if higher == (0 if rule == TALLEST else 1 if rule == SECOND else world.bars - 1):
            return np.int64(world.bar_entity[subject, bar])
    return -1

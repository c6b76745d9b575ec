"""Steps that make worlds of every corpus: their sizes, what figures ask for, twins, and how bars are laid out."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.chance import integer_below, mix64, shuffle, stochastic_round, uniform
from framework_research.worlds.world import BARS, HOPS, PAGES, QUESTIONS, SECOND, SHORTEST, STATED, TALLEST


@compiled
def start_world(world, level, seed):
    """Write down whose world it is, start its random numbers, and draw its sizes."""
    world.seed, world.level = seed, level
    # Seeds and levels that are close must not start streams that are.
    world.chance = mix64(mix64(seed) + np.uint64(np.int64(level * 1e9)))
    _set_random_sizes(world)


@compiled
def _set_random_sizes(world):
    level = world.level
    world.entities = np.int64(np.round(6 * 2 ** (3.4 * level)))
    world.pages = min(1 + stochastic_round(world, 2 * level), PAGES)
    world.bars = min(2 + stochastic_round(world, 2 * level), BARS)
    world.questions = min(1 + stochastic_round(world, 6 * max(0.0, level - 0.5)), QUESTIONS)
    world.asked[:] = -1
    world.chain[:] = -1
    world.hops[:] = 0
    for question in range(world.questions):
        world.hops[question] = min(1 + stochastic_round(world, 4 * level), HOPS)


@compiled
def figure_share(world):
    """Share of hops that lead through a figure."""
    return 0.0 if world.level < 0.15 else min(0.6, 0.2 + 0.5 * world.level)


@compiled
def random_figure_rule(world):
    """What a figure asks for: up to level .5 the tallest bar, from .83 on each rule as often as the others."""
    if uniform(world) >= min(2 / 3, 2 * max(0.0, world.level - 0.5)):
        return TALLEST
    return SHORTEST if uniform(world) < 0.5 else SECOND


@compiled
def random_other_entity(world, entity):
    """Any entity but this one."""
    drawn = integer_below(world, world.entities - 1)
    return drawn + (drawn >= entity)


@compiled
def in_chain(chain, hop, entity):
    """Whether a chain has been at an entity, up to a hop."""
    for place in range(hop + 1):
        if chain[place] == entity:
            return True
    return False


@compiled
def in_legend(world, legend, entity):
    """Whether an entity is in a figure's legend [4]."""
    for bar in range(world.bars):
        if legend[bar] == entity:
            return True
    return False


@compiled
def in_questions(world, entity):
    """Whether any question leads through an entity, or shows it in a figure."""
    for question in range(world.questions):
        for hop in range(world.hops[question] + 1):
            if world.chain[question, hop] == entity:
                return True
        for hop in range(world.hops[question]):
            legend = world.bar_entity[world.chain[question, hop]]
            if world.asked[question, hop] >= STATED and in_legend(world, legend, entity):
                return True
    return False


@compiled
def entity_to_twin(world, hop):
    """An entity of the first question's chain, or where a figure leads there any of its bars: a twin tells of none."""
    if hop and world.asked[0, hop - 1] >= STATED:
        return np.int64(world.bar_entity[world.chain[0, hop - 1], integer_below(world, world.bars)])
    return np.int64(world.chain[0, hop])


@compiled
def assign_colours_and_places(world, entity):
    """Give the bars of a figure colours and places that say nothing about their heights."""
    order = np.arange(BARS)
    shuffle(world, order, world.bars)
    for bar in range(world.bars):
        world.bar_colour[entity, bar] = order[bar]
    shuffle(world, order, world.bars)
    for bar in range(world.bars):
        world.bar_place[entity, bar] = order[bar]

"""Steps that make worlds of every corpus: sizes, where facts stand in documents, and how bars are laid out."""

from __future__ import annotations

import numpy as np

from framework_research.worlds.chance import below, compiled, mixed, rounded, shuffle, uniform
from framework_research.worlds.world import BARS, HOPS, LINES, PAGES, QUESTIONS, SECOND, SHORTEST, STATED, TALLEST

#: Which pairs of successive relations a question may have.
ALLOWED, HELD_OUT = 0, 1
_TRIES = 60


def pairs_of(split: str, bigrams: str = "split") -> int:
    """`ALLOWED` or `HELD_OUT`: the pairs of the split's own, those of "train", or those that are "held out"."""
    held = split == "test" if bigrams == "split" else bigrams == "held out"
    return HELD_OUT if held else ALLOWED


@compiled
def held_out(first, second):
    """Whether a pair of successive relations is kept for the test split."""
    return (7 * first + second) % 5 == 0


@compiled
def begin(world, level, seed):
    """Write down whose world it is, start its random numbers, and draw its sizes."""
    world.seed, world.level = seed, level
    # Seeds and levels that are close must not start streams that are.
    world.chance = mixed(mixed(seed) + np.uint64(np.int64(level * 1e9)))
    _size(world)


@compiled
def _size(world):
    level = world.level
    world.entities = np.int64(np.round(6 * 2 ** (3.4 * level)))
    world.pages = min(1 + rounded(world, 2 * level), PAGES)
    world.bars = min(2 + rounded(world, 2 * level), BARS)
    world.questions = min(1 + rounded(world, 6 * max(0.0, level - 0.5)), QUESTIONS)
    world.asked[:] = -1
    world.chain[:] = -1
    world.hops[:] = 0
    for question in range(world.questions):
        world.hops[question] = min(1 + rounded(world, 4 * level), HOPS)


@compiled
def figure_share(world):
    """Share of hops that lead through a figure."""
    return 0.0 if world.level < 0.15 else min(0.6, 0.2 + 0.5 * world.level)


@compiled
def figure_rule(world):
    """What a figure asks for: up to level .5 the tallest bar, from .83 on each rule as often as the others."""
    if uniform(world) >= min(2 / 3, 2 * max(0.0, world.level - 0.5)):
        return TALLEST
    return SHORTEST if uniform(world) < 0.5 else SECOND


@compiled
def someone_else(world, entity):
    """Anyone but this one."""
    other = below(world, world.entities - 1)
    return other + (other >= entity)


@compiled
def in_chain(chain, hop, target):
    """Whether a chain has been at an entity, up to a hop."""
    for place in range(hop + 1):
        if chain[place] == target:
            return True
    return False


@compiled
def is_asked(world, entity):
    """Whether any question leads through an entity, or shows it in a figure."""
    for question in range(world.questions):
        for hop in range(world.hops[question] + 1):
            if world.chain[question, hop] == entity:
                return True
        for hop in range(world.hops[question]):
            legend = world.bar_entity[world.chain[question, hop]]
            if world.asked[question, hop] >= STATED and is_shown(world, legend, entity):
                return True
    return False


@compiled
def is_shown(world, legend, entity):
    """Whether an entity is in a figure's legend [4]."""
    for bar in range(world.bars):
        if legend[bar] == entity:
            return True
    return False


@compiled
def to_be_twinned(world, number):
    """An entity of the first question's chain, or where a figure leads there any of its bars: a twin tells of none."""
    if number and world.asked[0, number - 1] >= STATED:
        return np.int64(world.bar_entity[world.chain[0, number - 1], below(world, world.bars)])
    return np.int64(world.chain[0, number])


@compiled
def documents(world, facts, needed):
    """Own facts and a figure in places drawn at random; the other lines hold true facts about others.

    ``facts`` [entities, relations] has the object of each, or -1: a corpus may lack some, and then lines stay empty.
    ``needed`` [entities, stated relations] tells which ones a document must not lack.
    """
    world.subject[:] = -1
    world.relation[:] = -1
    world.object[:] = -1
    world.alive[:] = 0
    world.figure_page[:] = -1
    dead = min(0.8, world.level)
    slots = world.pages * LINES
    places = np.empty(PAGES * LINES, np.int64)
    own = np.empty(STATED, np.int64)
    for entity in range(world.entities):
        for place in range(slots):
            places[place] = place
        shuffle(world, places, slots)
        count = _own_facts(world, facts[entity], needed[entity], own)
        for number in range(slots):
            page, line = places[number] // LINES, places[number] % LINES
            if number < count:
                subject, relation = entity, own[number]
            elif number == count and world.figure_relation[entity] >= 0:
                world.figure_page[entity] = page
                world.subject[entity, page, line] = entity
                world.relation[entity, page, line] = world.figure_relation[entity]
                continue
            else:
                subject, relation = _bystander(world, entity, facts)
                if subject < 0:
                    continue
            world.subject[entity, page, line] = subject
            world.relation[entity, page, line] = relation
            world.object[entity, page, line] = facts[subject, relation]
            world.alive[entity, page, line] = uniform(world) >= dead


@compiled
def _bystander(world, entity, facts):
    """A fact about someone else, as subject and relation; -1 where none was found."""
    for _ in range(_TRIES):
        subject, relation = someone_else(world, entity), below(world, STATED)
        if facts[subject, relation] >= 0:
            return subject, relation
    return -1, -1


@compiled
def _own_facts(world, facts, needed, own):
    """Which relations a document states of its own entity: those needed, and others up to two a page."""
    for relation in range(STATED):
        own[relation] = relation
    shuffle(world, own, STATED)
    count, known = 0, 0
    for place in range(STATED):
        if needed[own[place]]:
            own[count], own[place] = own[place], own[count]
            count += 1
    for place in range(STATED):
        if facts[own[place]] >= 0:
            own[known], own[place] = own[place], own[known]
            known += 1
    return max(count, min(known, 2 * world.pages))


@compiled
def paint(world, entity):
    """Give the bars of a figure colours and places that say nothing about their heights."""
    order = np.arange(BARS)
    shuffle(world, order, world.bars)
    for bar in range(world.bars):
        world.bar_colour[entity, bar] = order[bar]
    shuffle(world, order, world.bars)
    for bar in range(world.bars):
        world.bar_place[entity, bar] = order[bar]

"""Where the facts of a world stand: the lines of each entity's document, and the page of its figure."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.chance import integer_below, shuffle, uniform
from framework_research.worlds.generation import random_other_entity
from framework_research.worlds.world import LINES, PAGES, STATED

_TRIES = 60


@compiled
def write_documents(world, facts, needed):
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
    relations = np.empty(STATED, np.int64)
    for entity in range(world.entities):
        for place in range(slots):
            places[place] = place
        shuffle(world, places, slots)
        count = _order_own_relations(world, facts[entity], needed[entity], relations)
        for number in range(slots):
            page, line = places[number] // LINES, places[number] % LINES
            if number < count:
                subject, relation = entity, relations[number]
            elif number == count and world.figure_relation[entity] >= 0:
                world.figure_page[entity] = page
                world.subject[entity, page, line] = entity
                world.relation[entity, page, line] = world.figure_relation[entity]
                continue
            else:
                subject, relation = _random_fact_about_another(world, entity, facts)
                if subject < 0:
                    continue
            world.subject[entity, page, line] = subject
            world.relation[entity, page, line] = relation
            world.object[entity, page, line] = facts[subject, relation]
            world.alive[entity, page, line] = uniform(world) >= dead


@compiled
def _random_fact_about_another(world, entity, facts):
    """Subject and relation of a fact about someone else; -1 where none was drawn in time."""
    for _ in range(_TRIES):
        subject, relation = random_other_entity(world, entity), integer_below(world, STATED)
        if facts[subject, relation] >= 0:
            return subject, relation
    return -1, -1


@compiled
def _order_own_relations(world, facts, needed, relations):
    """Bring those to the front that a document states of its own entity: those needed, and others up to two a page.

    Gives how many they are.
    """
    for relation in range(STATED):
        relations[relation] = relation
    shuffle(world, relations, STATED)
    needed_count, fact_count = 0, 0
    for place in range(STATED):
        if needed[relations[place]]:
            relations[needed_count], relations[place] = relations[place], relations[needed_count]
            needed_count += 1
    for place in range(STATED):
        if facts[relations[place]] >= 0:
            relations[fact_count], relations[place] = relations[place], relations[fact_count]
            fact_count += 1
    return max(needed_count, min(fact_count, 2 * world.pages))

"""Worlds of real facts, generated in compiled code: questions first, then whoever fills the places that are left."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.chance import integer_below, shuffle, stochastic_round, uniform
from framework_research.worlds.documents import write_documents
from framework_research.worlds.factbook.chains import lay_questions
from framework_research.worlds.factbook.countries import EXPORT_SHARES
from framework_research.worlds.factbook.figures import add_figure, entity_asked_for
from framework_research.worlds.factbook.tables import CountryPlaces, add_country
from framework_research.worlds.generation import (
    assign_colours_and_places,
    entity_to_twin,
    figure_share,
    in_questions,
    start_world,
)
from framework_research.worlds.world import ENTITIES, RELATIONS, STATED, TALLEST

_CANDIDATES = 20  #: of so many countries the one comes into a world of whom most is known there


@compiled
def generate_worlds(worlds, levels, seeds, tables, bigrams):
    """Fill ``worlds`` [N] from `SplitTables`; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte.

    ``bigrams`` is `ALLOWED` or `HELD_OUT` of `framework_research.worlds.bigrams`.
    """
    place_of = np.empty(len(tables.population), np.int64)
    for at in range(len(worlds)):
        world = worlds[at]
        start_world(world, levels[at], seeds[at])
        _clear(world)
        order = np.arange(ENTITIES)
        shuffle(world, order, world.entities)
        place_of[:] = -1
        places = CountryPlaces(order, place_of, np.zeros(1, np.int64))
        twins = stochastic_round(world, 3 * world.level)
        needed = np.zeros((ENTITIES, STATED), np.bool_)
        confirmed = np.zeros(ENTITIES, np.bool_)
        lay_questions(world, tables, places, needed, confirmed, world.entities - twins, bigrams)
        _add_twins(world, tables, places, twins)
        _fill_places(world, tables, places)
        facts = np.full((ENTITIES, RELATIONS), -1, np.int8)
        _collect_facts(world, tables, places, confirmed, facts)
        write_documents(world, facts, needed)
        for entity in range(world.entities):
            world.code[entity] = tables.codes[world.name[entity, 0]]
            if world.figure_relation[entity] >= 0:
                assign_colours_and_places(world, entity)


@compiled
def _clear(world):
    world.name[:] = -1
    world.code[:] = 0.0
    world.twin[:] = -1
    world.figure_relation[:] = -1
    world.figure_rule[:] = TALLEST
    world.bar_entity[:] = -1
    world.bar_height[:] = 0.0
    world.bar_colour[:] = -1
    world.bar_place[:] = -1


@compiled
def _add_twins(world, tables, places, count):
    """Bring countries that are like those of the first question."""
    for number in range(min(count, world.hops[0] + 1)):
        entity = entity_to_twin(world, number)
        if world.twin[entity] >= 0:
            continue
        for choice in range(tables.lookalikes.shape[1]):
            country = tables.lookalikes[world.name[entity, 0], choice]
            twin = places.place_of[country]
            if places.filled[0] == world.entities if twin < 0 else world.twin[twin] >= 0 or in_questions(world, twin):
                continue
            twin = add_country(world, places, country)
            world.twin[entity], world.twin[twin] = twin, entity
            break


@compiled
def _fill_places(world, tables, places):
    """Fill the places that are left: those of whom the world knows much, partners for figures of shares, and anyone."""
    while places.filled[0] < world.entities:
        kind = uniform(world)
        member = places.order[integer_below(world, places.filled[0])]
        country = np.int64(world.name[member, 0])
        may_have_figure = tables.in_split[country] and world.figure_relation[member] < 0
        if kind < 0.1:
            add_country(world, places, integer_below(world, len(tables.population)))
        elif kind < 0.4 and may_have_figure and uniform(world) < figure_share(world):
            add_figure(world, tables, places, member, EXPORT_SHARES, world.entities)
        else:
            best, most = -1, -1
            for _ in range(_CANDIDATES):
                if uniform(world) < 0.7:
                    candidate = np.int64(tables.countries[integer_below(world, len(tables.countries))])
                else:
                    country = np.int64(world.name[places.order[integer_below(world, places.filled[0])], 0])
                    candidate = np.int64(tables.facts[country, integer_below(world, STATED)])
                if candidate >= 0 and places.place_of[candidate] < 0:
                    ties = _count_ties(world, tables, places, candidate)
                    if ties > most:
                        best, most = candidate, ties
            if best >= 0:
                add_country(world, places, best)


@compiled
def _count_ties(world, tables, places, country):
    """How many facts a country would bring: those about it, and those it is the object of."""
    count = 0
    for relation in range(STATED):
        target = tables.facts[country, relation]
        count += target >= 0 and places.place_of[target] >= 0
        for number in range(places.filled[0]):
            count += tables.facts[world.name[places.order[number], 0], relation] == country
    return count


@compiled
def _collect_facts(world, tables, places, confirmed, facts):
    """All facts whose subject and object are in the world, and figures that nobody asks for."""
    for entity in range(world.entities):
        country = np.int64(world.name[entity, 0])
        for relation in range(STATED):
            target = np.int64(tables.facts[country, relation])
            if target >= 0:
                facts[entity, relation] = places.place_of[target]
        wanted = uniform(world) < figure_share(world)
        if wanted and tables.in_split[country] and not confirmed[entity]:
            relation = integer_below(world, RELATIONS - STATED)
            if not add_figure(world, tables, places, entity, STATED + relation, 0):
                add_figure(world, tables, places, entity, RELATIONS - 1 - relation, 0)
        if world.figure_relation[entity] >= 0:
            facts[entity, world.figure_relation[entity]] = entity_asked_for(world, entity)

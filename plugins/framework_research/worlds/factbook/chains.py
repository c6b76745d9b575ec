"""Chains of real facts, which cannot be changed: who is in a world follows from what is asked there."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.bigrams import ALLOWED, HELD_OUT, is_held_out
from framework_research.worlds.chance import integer_below, uniform
from framework_research.worlds.factbook.figures import add_figure, entity_asked_for, remove_figure
from framework_research.worlds.factbook.tables import add_country, remove_last_countries
from framework_research.worlds.generation import figure_share, in_chain
from framework_research.worlds.world import HOPS, RELATIONS, STATED

#: How many relations are tried at each hop; chains with figures at the same hops; chains before a single hop is asked.
_DETOURS, _CHAINS, _GIVE_UP = 5, 200, 4000


@compiled
def lay_questions(world, tables, places, needed, confirmed, room, bigrams):
    """Chains of facts in which no country comes twice, and who is in their figures."""
    through_figure = np.zeros(HOPS, np.bool_)
    reserved = 0  # how many countries the questions to come may bring
    for question in range(world.questions):
        reserved += world.hops[question] + 1
    for question in range(world.questions):
        hops = world.hops[question]
        reserved -= hops + 1
        tries = 0
        while True:
            if tries % _CHAINS == 0:
                for hop in range(hops):
                    through_figure[hop] = uniform(world) < figure_share(world)
            if tries == _GIVE_UP:  # there may be no such chain: ask for less
                hops, through_figure[0] = 1, False
                world.hops[question] = 1
            tries += 1
            count = places.filled[0]
            if _lay_chain(world, tables, places, confirmed, through_figure, question, room - reserved, bigrams):
                break
            for hop in range(hops):
                subject = world.chain[question, hop]
                if subject >= 0 and not confirmed[subject]:
                    remove_figure(world, subject)
            remove_last_countries(world, places, count)
        _keep_evidence(world, tables, places, needed, confirmed, question, room - reserved)


@compiled
def _keep_evidence(world, tables, places, needed, confirmed, question, room):
    """Keep all that a question is made of."""
    for hop in range(world.hops[question]):
        subject, relation = world.chain[question, hop], world.asked[question, hop]
        if relation >= STATED:
            confirmed[subject] = True
        else:
            needed[subject, relation] = True
        if _follows_figure(world.asked[question], hop):
            _complete_hop_from_bars(world, tables, places, needed, confirmed, question, hop, room)


@compiled
def _follows_figure(asked, hop):
    return hop > 0 and asked[hop - 1] >= STATED


@compiled
def _complete_hop_from_bars(world, tables, places, needed, confirmed, question, hop, room):
    """Make sure that a hop behind a figure can be gone from all its bars, as far as there is room in the world.

    Otherwise it would show, without a look at the figure, which bars were the wrong ones.
    """
    relation = world.asked[question, hop]
    for bar in range(world.bars):
        entity = np.int64(world.bar_entity[world.chain[question, hop - 1], bar])
        if relation >= STATED:
            if world.figure_relation[entity] < 0:
                confirmed[entity] = add_figure(world, tables, places, entity, relation, room)
            continue
        goal = np.int64(tables.facts[world.name[entity, 0], relation])
        if places.place_of[goal] >= 0 or places.filled[0] < room:
            add_country(world, places, goal)
            needed[entity, relation] = True


@compiled
def _lay_chain(world, tables, places, confirmed, through_figure, question, room, bigrams):
    """Lay a chain from its start on; whether it came to its end with an answer that is accepted."""
    hops, chain, asked = world.hops[question], world.chain[question], world.asked[question]
    chain[:] = -1
    asked[:] = -1
    chain[0] = add_country(world, places, tables.countries[integer_below(world, len(tables.countries))])
    held_out_hop = integer_below(world, hops - 1) + 1 if hops > 1 and bigrams == HELD_OUT else 0
    for hop in range(hops):
        last, hop_room = hop + 1 == hops, room - (hops - hop - 1)
        for _ in range(_DETOURS):
            relation = _random_relation(world, asked, hop, held_out_hop, through_figure[hop], bigrams)
            if relation < 0 or (
                _follows_figure(asked, hop) and not _all_bars_go_on(world, tables, chain[hop - 1], relation)
            ):
                continue
            if _extend_chain(world, tables, places, confirmed, chain, hop, relation, last, hop_room):
                asked[hop] = relation
                break
        if asked[hop] < 0:
            return False
    return uniform(world) < tables.accepted[world.name[chain[hops], 0]]


@compiled
def _random_relation(world, asked, hop, held_out_hop, through_figure, bigrams):
    """A relation that may come behind the one before, or -1."""
    for _ in range(20):
        relation = STATED + integer_below(world, RELATIONS - STATED) if through_figure else integer_below(world, STATED)
        held = hop > 0 and is_held_out(asked[hop - 1], relation)
        if not (held and bigrams == ALLOWED) and (held or hop == 0 or hop != held_out_hop):
            return relation
    return -1


@compiled
def _extend_chain(world, tables, places, confirmed, chain, hop, relation, last, room):
    """Go on to the object of a fact, if there is such a fact and the question may go on from there."""
    subject, count = np.int64(chain[hop]), places.filled[0]
    country = np.int64(world.name[subject, 0])
    if relation < STATED:
        goal = np.int64(tables.facts[country, relation])
        if goal < 0 or not _may_pass(world, tables, goal, last):
            return False
        target = add_country(world, places, goal)
        if not in_chain(chain, hop, target):
            chain[hop + 1] = target
            return True
    elif confirmed[subject]:
        target = entity_asked_for(world, subject)
        if world.figure_relation[subject] == relation and not in_chain(chain, hop, target):
            chain[hop + 1] = target
            return last or tables.in_split[world.name[target, 0]]
        return False
    elif add_figure(world, tables, places, subject, relation, room):
        target = entity_asked_for(world, subject)
        if not in_chain(chain, hop, target) and _may_pass(world, tables, np.int64(world.name[target, 0]), last):
            chain[hop + 1] = target
            return True
        remove_figure(world, subject)
    remove_last_countries(world, places, count)
    return False


@compiled
def _all_bars_go_on(world, tables, subject, relation):
    """Whether the corpus has a fact of a relation about everyone in a figure."""
    for bar in range(world.bars):
        country = np.int64(world.name[world.bar_entity[subject, bar], 0])
        if not tables.in_split[country] or (relation < STATED and tables.facts[country, relation] < 0):
            return False
    return True


@compiled
def _may_pass(world, tables, country, last):
    """Whether a chain goes on from a country, if it does not end there."""
    return last or (tables.in_split[country] and uniform(world) < tables.passed[country])

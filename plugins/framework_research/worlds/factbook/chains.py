"""Chains of real facts, which cannot be changed: who is in a world follows from what is asked there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from framework_research.worlds.chance import below, compiled, rounded, shuffle, uniform
from framework_research.worlds.factbook.countries import EXPORT_SHARES
from framework_research.worlds.factbook.tables import Stage, enter, leave
from framework_research.worlds.generation import (
    ALLOWED,
    HELD_OUT,
    begin,
    documents,
    figure_rule,
    figure_share,
    held_out,
    in_chain,
    is_asked,
    paint,
    to_be_twinned,
)
from framework_research.worlds.world import BARS, ENTITIES, HOPS, RELATIONS, SECOND, STATED, TALLEST

#: Bars: the tallest is so high, and all differ by at least so much.
_TOP, _APART = 0.95, 0.1001
_CHOICES = 20  #: of so many countries the one comes into a world of whom most is known there
#: How many relations are tried at each hop; chains with figures at the same hops; chains before a single hop is asked.
_DETOURS, _CHAINS, _GIVE_UP = 5, 200, 4000


class Book(NamedTuple):
    """What worlds of a split are made of. Tables are by country; rows of countries of other splits are empty."""

    own: np.ndarray  #: the split's countries, those with most people first
    belongs: np.ndarray  #: [countries] bool: whether it is one of them
    facts: np.ndarray  #: [countries, 6]: objects, or -1
    partners: np.ndarray  #: [countries, partners]: to whom it exports, most first; -1 behind the last
    shares: np.ndarray  #: [countries, partners]
    people: np.ndarray  #: [countries]
    passed: np.ndarray  #: [countries]: how probable it is that a chain that comes to one goes on from there
    taken: np.ndarray  #: [countries]: and that it is taken for an answer, where a chain ends there
    codes: np.ndarray  #: [countries, 16]
    alike: np.ndarray  #: [countries, 3]: those of the split whose codes are the most similar


@compiled
def sample(worlds, levels, seeds, book, bigrams):
    """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""
    place = np.empty(len(book.people), np.int64)
    for at in range(len(worlds)):
        world = worlds[at]
        begin(world, levels[at], seeds[at])
        _clear(world)
        places = np.arange(ENTITIES)
        shuffle(world, places, world.entities)
        place[:] = -1
        stage = Stage(places, place, np.zeros(1, np.int64))
        twins = rounded(world, 3 * world.level)
        needed = np.zeros((ENTITIES, STATED), np.bool_)
        confirmed = np.zeros(ENTITIES, np.bool_)
        _questions(world, book, stage, needed, confirmed, world.entities - twins, bigrams)
        _twins(world, book, stage, twins)
        _fill(world, book, stage)
        facts = np.full((ENTITIES, RELATIONS), -1, np.int8)
        _facts(world, book, stage, confirmed, facts)
        documents(world, facts, needed)
        for entity in range(world.entities):
            world.code[entity] = book.codes[world.name[entity, 0]]
            if world.figure_relation[entity] >= 0:
                paint(world, entity)


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
def _questions(world, book, stage, needed, confirmed, room, bigrams):
    """Chains of facts in which no country comes twice, and who is in their figures."""
    kinds = np.zeros(HOPS, np.bool_)
    still = 0  # how many countries the questions to come may bring
    for question in range(world.questions):
        still += world.hops[question] + 1
    for question in range(world.questions):
        hops = world.hops[question]
        still -= hops + 1
        tries = 0
        while True:
            if tries % _CHAINS == 0:
                for hop in range(hops):
                    kinds[hop] = uniform(world) < figure_share(world)
            if tries == _GIVE_UP:  # there may be no such chain: ask for less
                hops, kinds[0] = 1, False
                world.hops[question] = 1
            tries += 1
            count = stage.filled[0]
            if _walk(world, book, stage, confirmed, kinds, question, room - still, bigrams):
                break
            for hop in range(hops):
                subject = world.chain[question, hop]
                if subject >= 0 and not confirmed[subject]:
                    _wipe(world, subject)
            leave(world, stage, count)
        _settle(world, book, stage, needed, confirmed, question, room - still)


@compiled
def _settle(world, book, stage, needed, confirmed, question, room):
    """Keep all that a question is made of."""
    for hop in range(world.hops[question]):
        subject, relation = world.chain[question, hop], world.asked[question, hop]
        if relation >= STATED:
            confirmed[subject] = True
        else:
            needed[subject, relation] = True
        if _behind_figure(world.asked[question], hop):
            _lead_on(world, book, stage, needed, confirmed, question, hop, room)


@compiled
def _behind_figure(asked, hop):
    return hop > 0 and asked[hop - 1] >= STATED


@compiled
def _lead_on(world, book, stage, needed, confirmed, question, hop, room):
    """Make sure that a hop behind a figure can be gone from all its bars, as far as there is room in the world.

    Otherwise it would show, without a look at the figure, which bars were the wrong ones.
    """
    relation = world.asked[question, hop]
    for bar in range(world.bars):
        entity = np.int64(world.bar_entity[world.chain[question, hop - 1], bar])
        if relation >= STATED:
            if world.figure_relation[entity] < 0:
                confirmed[entity] = _figure(world, book, stage, entity, relation, room)
            continue
        goal = np.int64(book.facts[world.name[entity, 0], relation])
        if stage.place[goal] >= 0 or stage.filled[0] < room:
            enter(world, stage, goal)
            needed[entity, relation] = True


@compiled
def _wipe(world, subject):
    """Take a figure away."""
    world.figure_relation[subject] = -1
    world.figure_rule[subject] = TALLEST
    world.bar_entity[subject] = -1
    world.bar_height[subject] = 0.0


@compiled
def _walk(world, book, stage, confirmed, kinds, question, room, bigrams):
    """Lay a chain from its start on; whether it came to its end with an answer that is taken."""
    hops, chain, asked = world.hops[question], world.chain[question], world.asked[question]
    chain[:] = -1
    asked[:] = -1
    chain[0] = enter(world, stage, book.own[below(world, len(book.own))])
    must = below(world, hops - 1) + 1 if hops > 1 and bigrams == HELD_OUT else 0  # the hop with a pair held out
    for hop in range(hops):
        last, spare = hop + 1 == hops, room - (hops - hop - 1)
        for _ in range(_DETOURS):
            relation = _relation(world, asked, hop, must, kinds[hop], bigrams)
            if relation < 0 or (_behind_figure(asked, hop) and not _all_go_on(world, book, chain[hop - 1], relation)):
                continue
            if _step(world, book, stage, confirmed, chain, hop, relation, last, spare):
                asked[hop] = relation
                break
        if asked[hop] < 0:
            return False
    return uniform(world) < book.taken[world.name[chain[hops], 0]]


@compiled
def _relation(world, asked, hop, must, figure, bigrams):
    """A relation that may come behind the one before, or -1."""
    for _ in range(20):
        relation = STATED + below(world, RELATIONS - STATED) if figure else below(world, STATED)
        held = hop > 0 and held_out(asked[hop - 1], relation)
        if not (held and bigrams == ALLOWED) and (held or hop == 0 or hop != must):
            return relation
    return -1


@compiled
def _step(world, book, stage, confirmed, chain, hop, relation, last, room):
    """Go on to the object of a fact, if there is such a fact and the question may go on from there."""
    subject, count = np.int64(chain[hop]), stage.filled[0]
    country = np.int64(world.name[subject, 0])
    if relation < STATED:
        goal = np.int64(book.facts[country, relation])
        if goal < 0 or not _passes(world, book, goal, last):
            return False
        target = enter(world, stage, goal)
        if not in_chain(chain, hop, target):
            chain[hop + 1] = target
            return True
    elif confirmed[subject]:
        target = _shown(world, subject)
        if world.figure_relation[subject] == relation and not in_chain(chain, hop, target):
            chain[hop + 1] = target
            return last or book.belongs[world.name[target, 0]]
        return False
    elif _figure(world, book, stage, subject, relation, room):
        target = _shown(world, subject)
        if not in_chain(chain, hop, target) and _passes(world, book, np.int64(world.name[target, 0]), last):
            chain[hop + 1] = target
            return True
        _wipe(world, subject)
    leave(world, stage, count)
    return False


@compiled
def _all_go_on(world, book, subject, relation):
    """Whether the corpus has a fact of a relation about everyone in a figure."""
    for bar in range(world.bars):
        country = np.int64(world.name[world.bar_entity[subject, bar], 0])
        if not book.belongs[country] or (relation < STATED and book.facts[country, relation] < 0):
            return False
    return True


@compiled
def _passes(world, book, country, last):
    """Whether a chain goes on from a country, if it does not end there."""
    return last or (book.belongs[country] and uniform(world) < book.passed[country])


@compiled
def _figure(world, book, stage, subject, relation, room):
    """Draw a figure of real numbers; whether there was one.

    Its bars bring new countries where there is room for them, else they are of those in the world.
    """
    country, bars = np.int64(world.name[subject, 0]), world.bars
    fresh = stage.filled[0] + bars <= room
    found = np.empty(len(book.people), np.int64)
    values = np.empty(len(book.people))
    count = 0
    for number in range(book.partners.shape[1] if relation == EXPORT_SHARES else len(book.own)):
        other = np.int64(book.partners[country, number] if relation == EXPORT_SHARES else book.own[number])
        if other >= 0 and other != country and (fresh or stage.place[other] >= 0):
            found[count] = other
            values[count] = book.shares[country, number] if relation == EXPORT_SHARES else book.people[other]
            count += 1
    order, picked = np.arange(BARS), np.empty(BARS, np.int64)
    shuffle(world, order, bars)
    for _ in range(100):
        if not _pick(world, values, count, picked):
            continue
        for bar in range(bars):
            world.bar_entity[subject, order[bar]] = enter(world, stage, found[picked[bar]])
            world.bar_height[subject, order[bar]] = _TOP * values[picked[bar]] / values[picked[0]]
        world.figure_relation[subject] = relation
        world.figure_rule[subject] = figure_rule(world)
        return True
    return False


@compiled
def _pick(world, values, count, picked):
    """Some of ``count`` values that fall, the highest first; whether bars of them can be told apart."""
    bars = world.bars
    if count < bars:
        return False
    picked[0] = below(world, count - bars + 1)
    unit = _TOP / values[picked[0]]
    low = picked[0]  # the last whose bar is not too short
    while low + 1 < count and values[low + 1] * unit >= _APART:
        low += 1
    if low - picked[0] < bars - 1:
        return False
    for bar in range(1, bars):
        picked[bar] = picked[0] + 1 + below(world, low - picked[0])
        for other in range(bar):
            if abs(values[picked[bar]] - values[picked[other]]) * unit < _APART:
                return False
    return True


@compiled
def _shown(world, subject):
    """Whom a figure is about, by its rule."""
    rule, heights = world.figure_rule[subject], world.bar_height[subject]
    for bar in range(world.bars):
        higher = 0
        for other in range(world.bars):
            higher += heights[other] > heights[bar]
        if higher == (0 if rule == TALLEST else 1 if rule == SECOND else world.bars - 1):
            return np.int64(world.bar_entity[subject, bar])
    return -1


@compiled
def _twins(world, book, stage, count):
    """Bring countries that are like those of the first question."""
    for number in range(min(count, world.hops[0] + 1)):
        entity = to_be_twinned(world, number)
        if world.twin[entity] >= 0:
            continue
        for choice in range(book.alike.shape[1]):
            country = book.alike[world.name[entity, 0], choice]
            twin = stage.place[country]
            if stage.filled[0] == world.entities if twin < 0 else world.twin[twin] >= 0 or is_asked(world, twin):
                continue
            twin = enter(world, stage, country)
            world.twin[entity], world.twin[twin] = twin, entity
            break


@compiled
def _fill(world, book, stage):
    """Fill the places that are left: those of whom the world knows much, partners for figures of shares, and anyone."""
    while stage.filled[0] < world.entities:
        kind = uniform(world)
        member = stage.places[below(world, stage.filled[0])]
        country = np.int64(world.name[member, 0])
        charted = book.belongs[country] and world.figure_relation[member] < 0
        if kind < 0.1:
            enter(world, stage, below(world, len(book.people)))
        elif kind < 0.4 and charted and uniform(world) < figure_share(world):
            _figure(world, book, stage, member, EXPORT_SHARES, world.entities)
        else:
            best, most = -1, -1
            for _ in range(_CHOICES):
                if uniform(world) < 0.7:
                    other = np.int64(book.own[below(world, len(book.own))])
                else:
                    country = np.int64(world.name[stage.places[below(world, stage.filled[0])], 0])
                    other = np.int64(book.facts[country, below(world, STATED)])
                if other >= 0 and stage.place[other] < 0:
                    ties = _ties(world, book, stage, other)
                    if ties > most:
                        best, most = other, ties
            if best >= 0:
                enter(world, stage, best)


@compiled
def _ties(world, book, stage, country):
    """How many facts a country would bring: those about it, and those it is the object of."""
    count = 0
    for relation in range(STATED):
        target = book.facts[country, relation]
        count += target >= 0 and stage.place[target] >= 0
        for number in range(stage.filled[0]):
            count += book.facts[world.name[stage.places[number], 0], relation] == country
    return count


@compiled
def _facts(world, book, stage, confirmed, facts):
    """All facts whose subject and object are in the world, and figures that nobody asks for."""
    for entity in range(world.entities):
        country = np.int64(world.name[entity, 0])
        for relation in range(STATED):
            target = np.int64(book.facts[country, relation])
            if target >= 0:
                facts[entity, relation] = stage.place[target]
        wanted = uniform(world) < figure_share(world)
        if wanted and book.belongs[country] and not confirmed[entity]:
            relation = below(world, RELATIONS - STATED)
            if not _figure(world, book, stage, entity, STATED + relation, 0):
                _figure(world, book, stage, entity, RELATIONS - 1 - relation, 0)
        if world.figure_relation[entity] >= 0:
            facts[entity, world.figure_relation[entity]] = _shown(world, entity)

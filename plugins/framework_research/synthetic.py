"""Worlds made up from nothing but a level and a seed: endless, fast, and nothing in them is true elsewhere."""

from __future__ import annotations

import numpy as np

from framework_research.chance import below, compiled, mixed, rounded, shuffle, uniform
from framework_research.names import SYLLABLE_TEXTS, membership, names
from framework_research.world import (
    BARS,
    CODE,
    ENTITIES,
    HOPS,
    LINES,
    PAGES,
    QUESTIONS,
    RELATIONS,
    SECOND,
    STATED,
    SYLLABLES,
    TALLEST,
    WORLD,
)

#: Which pairs of successive relations a question may have.
ALLOWED, HELD_OUT = 0, 1
_SYLLABLES = len(SYLLABLE_TEXTS)
#: Codes of different entities differ in at least so many places; those of twins in `_TWIN`.
_APART, _TWIN = 4, 2
#: Heights of bars are this far apart, and moved by less than a sixth of it.
_STEP = 0.12
_RULES_FROM = 0.6  #: the level from which on figures ask for other than the tallest bar


class Synthetic:
    """The corpus of made-up worlds."""

    def __init__(self, split: str, bigrams: str = "split"):
        self._names, self._members = names(split), membership(split)
        new = split == "test" if bigrams == "split" else bigrams == "held out"
        self._bigrams = HELD_OUT if new else ALLOWED

    def sample(self, worlds: np.ndarray, levels: np.ndarray, seeds: np.ndarray) -> None:
        """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""
        _sample(worlds, levels, seeds, self._names, self._members, self._bigrams)


def world(level: float, seed: int, split: str = "train") -> np.void:
    """One world."""
    worlds = np.zeros(1, WORLD)
    Synthetic(split).sample(worlds, np.array([level]), np.array([seed], np.uint64))
    return worlds[0]


@compiled
def held_out(first, second):
    """Whether a pair of successive relations is kept for the test split."""
    return (7 * first + second) % 5 == 0


@compiled
def _sample(worlds, levels, seeds, pool, members, bigrams):
    for at in range(len(worlds)):
        world = worlds[at]
        world.seed, world.level = seeds[at], levels[at]
        # Seeds and levels that are close must not start streams that are.
        world.chance = mixed(mixed(seeds[at]) + np.uint64(np.int64(levels[at] * 1e9)))
        _size(world)
        _entities(world, pool)
        facts = np.full((ENTITIES, RELATIONS), -1, np.int8)
        figures = _facts(world, facts)
        needed = np.zeros((ENTITIES, STATED), np.bool_)
        _questions(world, facts, figures, needed, bigrams)
        _twins(world, members)
        _documents(world, facts, needed)
        _draw_figures(world, facts)


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
def _entities(world, pool):
    """Codes and names, all different."""
    world.code[:] = 0.0
    world.name[:] = -1
    world.twin[:] = -1
    for entity in range(world.entities):
        while True:
            for place in range(CODE):
                world.code[entity, place] = 1.0 if uniform(world) < 0.5 else -1.0
            if _apart(world, entity):
                break
        while True:
            chosen = below(world, len(pool))
            for place in range(SYLLABLES):
                world.name[entity, place] = pool[chosen, place]
            if _new_name(world, entity):
                break


@compiled
def _apart(world, entity):
    for other in range(entity):
        differences = 0
        for place in range(CODE):
            differences += world.code[other, place] != world.code[entity, place]
        if differences < _APART:
            return False
    return True


@compiled
def _new_name(world, entity):
    for other in range(world.entities):
        same = True
        for place in range(SYLLABLES):
            same &= world.name[other, place] == world.name[entity, place]
        if same and other != entity:
            return False
    return True


@compiled
def _facts(world, facts):
    """A fact of each stated relation about everyone; gives who has a figure, of which relation, or -1."""
    figures = np.full(ENTITIES, -1, np.int8)
    share = _figure_share(world)
    for entity in range(world.entities):
        for relation in range(STATED):
            facts[entity, relation] = _someone_else(world, entity)
        if uniform(world) < share:
            figures[entity] = STATED + below(world, RELATIONS - STATED)
            facts[entity, figures[entity]] = _someone_else(world, entity)
    world.figure_relation[:] = figures
    return world.figure_relation


@compiled
def _figure_share(world):
    return 0.0 if world.level < 0.15 else min(0.6, 0.2 + 0.5 * world.level)


@compiled
def _someone_else(world, entity):
    other = below(world, world.entities - 1)
    return other + (other >= entity)


@compiled
def _questions(world, facts, figures, needed, bigrams):
    """Chains of facts in which no entity comes twice; ``needed`` are the stated facts that they are made of."""
    asked_figure = np.zeros(ENTITIES, np.bool_)
    for question in range(world.questions):
        hops, chain, asked = world.hops[question], world.chain[question], world.asked[question]
        # A later question may find that no relation goes on from where it is: then it starts anew.
        for _ in range(100):
            chain[:] = -1
            asked[:] = -1
            chain[0] = below(world, world.entities)
            if _walk(world, facts, figures, needed, asked_figure, chain, asked, hops, bigrams):
                break
        for hop in range(hops):
            subject, relation = chain[hop], asked[hop]
            if relation >= STATED:
                asked_figure[subject] = True
            else:
                needed[subject, relation] = True


@compiled
def _walk(world, facts, figures, needed, asked_figure, chain, asked, hops, bigrams):
    """Lay a chain from its start on, changing facts that no question needs yet; whether it came to its end."""
    must = below(world, hops - 1) + 1 if hops > 1 and bigrams == HELD_OUT else 0  # the hop with a pair held out
    for hop in range(hops):
        subject = chain[hop]
        found = False
        for _ in range(60):
            relation = below(world, STATED)
            if uniform(world) < _figure_share(world):
                relation = STATED + below(world, RELATIONS - STATED)
            if hop and bigrams == ALLOWED and held_out(asked[hop - 1], relation):
                continue
            if hop and hop == must and not held_out(asked[hop - 1], relation):
                continue
            fixed = needed[subject, relation] if relation < STATED else asked_figure[subject]
            if fixed and relation >= STATED and figures[subject] != relation:
                continue
            target = np.int64(facts[subject, relation]) if fixed else below(world, world.entities)
            if _in_chain(chain, hop, target):
                continue
            found = True
            asked[hop], chain[hop + 1] = relation, target
            if not fixed:
                if relation >= STATED:
                    figures[subject] = relation
                facts[subject, relation] = target
            break
        if not found:
            return False
    return True


@compiled
def _in_chain(chain, hop, target):
    for place in range(hop + 1):
        if chain[place] == target:
            return True
    return False


@compiled
def _twins(world, members):
    """Make bystanders look like entities of the first question."""
    for number in range(rounded(world, 3 * world.level)):
        if number > world.hops[0]:
            return
        entity = world.chain[0, number]
        for _ in range(20):
            twin = _someone_else(world, entity)
            if world.twin[twin] < 0 and not _is_asked(world, twin):
                break
        else:
            continue
        if not _rename(world, entity, twin, members):
            continue
        world.twin[entity], world.twin[twin] = twin, entity
        for place in range(CODE):
            world.code[twin, place] = world.code[entity, place]
        first = below(world, CODE)
        for step in range(_TWIN):
            place = (first + 5 * step) % CODE
            world.code[twin, place] = -world.code[entity, place]


@compiled
def _is_asked(world, entity):
    for question in range(world.questions):
        for hop in range(world.hops[question] + 1):
            if world.chain[question, hop] == entity:
                return True
    return False


@compiled
def _rename(world, entity, twin, members):
    """Give the twin a name of the same split that differs in one syllable; whether there was one."""
    before = world.name[twin].copy()
    for _ in range(40):
        for place in range(SYLLABLES):
            world.name[twin, place] = world.name[entity, place]
        place = below(world, 2 if world.name[entity, 2] < 0 else 3)
        world.name[twin, place] = below(world, _SYLLABLES)
        third = world.name[twin, 2]
        known = members[world.name[twin, 0], world.name[twin, 1], _SYLLABLES if third < 0 else third]
        if known and _new_name(world, twin):
            return True
    world.name[twin, :] = before
    return False


@compiled
def _documents(world, facts, needed):
    """Own facts and a figure in places drawn at random; the other lines hold true facts about others."""
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
        count = _own_facts(world, needed[entity], own)
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
                subject, relation = _someone_else(world, entity), below(world, STATED)
            world.subject[entity, page, line] = subject
            world.relation[entity, page, line] = relation
            world.object[entity, page, line] = facts[subject, relation]
            world.alive[entity, page, line] = uniform(world) >= dead


@compiled
def _own_facts(world, needed, own):
    """Which relations a document states of its own entity: those needed, and others up to two a page."""
    for relation in range(STATED):
        own[relation] = relation
    shuffle(world, own, STATED)
    count = 0
    for place in range(STATED):
        if needed[own[place]]:
            own[count], own[place] = own[place], own[count]
            count += 1
    return max(count, min(STATED, 2 * world.pages))


@compiled
def _draw_figures(world, facts):
    """Bars whose order, colours and legend say nothing about their heights."""
    world.bar_entity[:] = -1
    world.bar_height[:] = 0.0
    world.bar_colour[:] = -1
    world.bar_place[:] = -1
    world.figure_rule[:] = TALLEST
    order = np.empty(BARS, np.int64)
    bars = world.bars
    for entity in range(world.entities):
        relation = world.figure_relation[entity]
        if relation < 0:
            continue
        rule = below(world, 3) if world.level >= _RULES_FROM else TALLEST
        world.figure_rule[entity] = rule
        for bar in range(bars):
            order[bar] = bar
        shuffle(world, order, bars)  # the bar with each height, the tallest first
        answer = order[0] if rule == TALLEST else order[1] if rule == SECOND else order[bars - 1]
        lowest = 0.1 + uniform(world) * (0.95 - 0.1 - _STEP * bars)
        for rank in range(bars):
            world.bar_height[entity, order[rank]] = lowest + _STEP * (bars - 1 - rank + 0.15 * uniform(world))
        for bar in range(bars):
            while True:
                shown = facts[entity, relation] if bar == answer else _someone_else(world, entity)
                world.bar_entity[entity, bar] = shown
                if bar == answer or (shown != facts[entity, relation] and _once(world.bar_entity[entity], bar)):
                    break
            order[bar] = bar
        shuffle(world, order, bars)
        for bar in range(bars):
            world.bar_colour[entity, bar] = order[bar]
        shuffle(world, order, bars)
        for bar in range(bars):
            world.bar_place[entity, bar] = order[bar]


@compiled
def _once(shown, bar):
    for other in range(bar):
        if shown[other] == shown[bar]:
            return False
    return True

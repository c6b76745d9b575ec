"""Worlds made up from nothing but a level and a seed: endless, fast, and nothing in them is true elsewhere."""

from __future__ import annotations

import numpy as np

from framework_research.worlds.chance import below, compiled, rounded, shuffle, uniform
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
    is_shown,
    paint,
    pairs_of,
    someone_else,
    to_be_twinned,
)
from framework_research.worlds.names import SYLLABLE_TEXTS, membership, names, text
from framework_research.worlds.world import BARS, CODE, ENTITIES, RELATIONS, SECOND, STATED, SYLLABLES, TALLEST, WORLD

#: What relations are called.
RELATION_TEXTS = ("mentor", "rival", "neighbour", "patron", "heir", "envoy", "favourite", "champion")
_SYLLABLES = len(SYLLABLE_TEXTS)
#: Codes of different entities differ in at least so many places; those of twins in `_TWIN`.
_APART, _TWIN = 4, 2
#: Heights of bars are this far apart, and moved by less than a sixth of it.
_STEP = 0.12


class Synthetic:
    """The corpus of made-up worlds."""

    def __init__(self, split: str, bigrams: str = "split"):
        self._names, self._members = names(split), membership(split)
        self._bigrams = pairs_of(split, bigrams)

    def sample(self, worlds: np.ndarray, levels: np.ndarray, seeds: np.ndarray) -> None:
        """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""
        _sample(worlds, levels, seeds, self._names, self._members, self._bigrams)

    def name(self, world: np.void, entity: int) -> str:
        """What an entity of a world is called."""
        return text(world["name"][entity])

    def relation(self, number: int) -> str:
        """What a relation is called."""
        return RELATION_TEXTS[number]


def world(level: float, seed: int, split: str = "train") -> np.void:
    """One world."""
    worlds = np.zeros(1, WORLD)
    Synthetic(split).sample(worlds, np.array([level]), np.array([seed], np.uint64))
    return worlds[0]


@compiled
def _sample(worlds, levels, seeds, pool, members, bigrams):
    for at in range(len(worlds)):
        world = worlds[at]
        begin(world, levels[at], seeds[at])
        _entities(world, pool)
        facts = np.full((ENTITIES, RELATIONS), -1, np.int8)
        figures = _facts(world, facts)
        needed = np.zeros((ENTITIES, STATED), np.bool_)
        confirmed = np.zeros(ENTITIES, np.bool_)  # whose figures stay as they are
        _questions(world, facts, figures, needed, confirmed, bigrams)
        _legends(world, facts, needed, confirmed)
        _twins(world, members)
        documents(world, facts, needed)
        _draw_figures(world, facts)


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
    figures = world.figure_relation
    figures[:] = -1
    share = figure_share(world)
    for entity in range(world.entities):
        for relation in range(STATED):
            facts[entity, relation] = someone_else(world, entity)
        if uniform(world) < share:
            figures[entity] = STATED + below(world, RELATIONS - STATED)
            facts[entity, figures[entity]] = someone_else(world, entity)
    return figures


@compiled
def _questions(world, facts, figures, needed, confirmed, bigrams):
    """Chains of facts in which no entity comes twice; ``needed`` are the stated facts that they are made of."""
    for question in range(world.questions):
        hops, chain, asked = world.hops[question], world.chain[question], world.asked[question]
        # A later question may find that no relation goes on from where it is: then it starts anew.
        for _ in range(100):
            chain[:] = -1
            asked[:] = -1
            chain[0] = below(world, world.entities)
            if _walk(world, facts, figures, needed, confirmed, chain, asked, hops, bigrams):
                break
        for hop in range(hops):
            subject, relation = chain[hop], asked[hop]
            if relation >= STATED:
                confirmed[subject] = True
            else:
                needed[subject, relation] = True


@compiled
def _walk(world, facts, figures, needed, confirmed, chain, asked, hops, bigrams):
    """Lay a chain from its start on, changing facts that no question needs yet; whether it came to its end."""
    must = below(world, hops - 1) + 1 if hops > 1 and bigrams == HELD_OUT else 0  # the hop with a pair held out
    for hop in range(hops):
        subject = chain[hop]
        found = False
        for _ in range(60):
            relation = below(world, STATED)
            if uniform(world) < figure_share(world):
                relation = STATED + below(world, RELATIONS - STATED)
            if hop and bigrams == ALLOWED and held_out(asked[hop - 1], relation):
                continue
            if hop and hop == must and not held_out(asked[hop - 1], relation):
                continue
            fixed = needed[subject, relation] if relation < STATED else confirmed[subject]
            if fixed and relation >= STATED and figures[subject] != relation:
                continue
            target = np.int64(facts[subject, relation]) if fixed else below(world, world.entities)
            if in_chain(chain, hop, target):
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
def _twins(world, members):
    """Make bystanders look like entities of the first question."""
    for number in range(rounded(world, 3 * world.level)):
        if number > world.hops[0]:
            return
        entity = to_be_twinned(world, number)
        if world.twin[entity] >= 0:
            continue
        for _ in range(20):
            twin = someone_else(world, entity)
            if world.twin[twin] < 0 and not is_asked(world, twin):
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
    for place in range(SYLLABLES):
        world.name[twin, place] = before[place]
    return False


@compiled
def _legends(world, facts, needed, confirmed):
    """Whose bars each figure has, in any order; those of asked figures lead on alike, to wherever the question goes."""
    world.bar_entity[:] = -1
    for question in range(world.questions):
        for hop in range(world.hops[question]):
            subject = np.int64(world.chain[question, hop])
            if world.asked[question, hop] < STATED:
                continue
            if world.bar_entity[subject, 0] < 0:
                _legend(world, facts, subject)
            for bar in range(world.bars):
                _lead_on(world, facts, needed, confirmed, np.int64(world.bar_entity[subject, bar]), question, hop + 1)
    for entity in range(world.entities):
        if world.figure_relation[entity] >= 0 and world.bar_entity[entity, 0] < 0:
            _legend(world, facts, entity)


@compiled
def _legend(world, facts, entity):
    """The figure's fact at any bar; the others are of those whom nothing rules out: no chain comes to anyone twice."""
    relation = world.figure_relation[entity]
    shown = world.bar_entity[entity]
    answer = below(world, world.bars)
    shown[answer] = facts[entity, relation]
    for bar in range(world.bars):
        while bar != answer:
            other = someone_else(world, entity)
            if not is_shown(world, shown, other) and not _is_behind(world, entity, relation, other):
                shown[bar] = other
                break


@compiled
def _is_behind(world, entity, relation, other):
    """Whether a question that asks for a figure was at another entity before."""
    for question in range(world.questions):
        for hop in range(world.hops[question]):
            asked = world.chain[question, hop] == entity and world.asked[question, hop] == relation
            if asked and in_chain(world.chain[question], hop, other):
                return True
    return False


@compiled
def _lead_on(world, facts, needed, confirmed, entity, question, hop):
    """Make sure that all hops to come can be gone from an entity, too.

    Otherwise it would show, without a look at the figure, that its bar was the wrong one.
    """
    for later in range(hop, world.hops[question]):
        relation = world.asked[question, later]
        if relation < STATED:
            needed[entity, relation] = True
        elif world.figure_relation[entity] == relation:
            confirmed[entity] = True
        elif confirmed[entity]:
            return
        else:
            confirmed[entity] = True
            world.figure_relation[entity] = relation
            facts[entity, relation] = someone_else(world, entity)
        entity = np.int64(facts[entity, relation])


@compiled
def _draw_figures(world, facts):
    """Heights by each figure's rule, and colours and places that say nothing about them."""
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
        rule = figure_rule(world)
        world.figure_rule[entity] = rule
        for bar in range(bars):
            order[bar] = bar
        shuffle(world, order, bars)  # the bar with each height, the tallest first
        rank = 0 if rule == TALLEST else 1 if rule == SECOND else bars - 1
        for place in range(bars):
            if world.bar_entity[entity, order[place]] == facts[entity, relation]:
                order[place], order[rank] = order[rank], order[place]
                break
        lowest = 0.1 + uniform(world) * (0.95 - 0.1 - _STEP * bars)
        for rank in range(bars):
            world.bar_height[entity, order[rank]] = lowest + _STEP * (bars - 1 - rank + 0.15 * uniform(world))
        paint(world, entity)

"""Worlds made up from nothing but a level and a seed: endless, fast, and nothing in them is true elsewhere."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.bigrams import ALLOWED, HELD_OUT, bigram_rule, is_held_out
from framework_research.worlds.chance import integer_below, shuffle, stochastic_round, uniform
from framework_research.worlds.documents import write_documents
from framework_research.worlds.generation import (
    assign_colours_and_places,
    entity_to_twin,
    figure_share,
    in_chain,
    in_legend,
    in_questions,
    random_figure_rule,
    random_other_entity,
    start_world,
)
from framework_research.worlds.names import SYLLABLE_TEXTS, membership_of, names_of, spell
from framework_research.worlds.world import BARS, CODE, ENTITIES, RELATIONS, SECOND, STATED, SYLLABLES, TALLEST

#: What relations are called.
RELATION_TEXTS = ("mentor", "rival", "neighbour", "patron", "heir", "envoy", "favourite", "champion")
_SYLLABLES = len(SYLLABLE_TEXTS)
#: Codes of different entities differ in at least so many places; those of twins in so many.
_MIN_DIFFERENCES, _TWIN_DIFFERENCES = 4, 2
#: Heights of bars are this far apart, and moved by less than a sixth of it.
_HEIGHT_STEP = 0.12


class Synthetic:
    """The corpus of made-up worlds."""

    def __init__(self, split: str, bigrams: str = "split"):
        self._names, self._members = names_of(split), membership_of(split)
        self._bigrams = bigram_rule(split, bigrams)

    def sample(self, worlds: np.ndarray, levels: np.ndarray, seeds: np.ndarray) -> None:
        """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""
        _generate_worlds(worlds, levels, seeds, self._names, self._members, self._bigrams)

    def name(self, world: np.void, entity: int) -> str:
        """What an entity of a world is called."""
        return spell(world["name"][entity])

    def relation(self, number: int) -> str:
        """What a relation is called."""
        return RELATION_TEXTS[number]


@compiled
def _generate_worlds(worlds, levels, seeds, pool, members, bigrams):
    for at in range(len(worlds)):
        world = worlds[at]
        start_world(world, levels[at], seeds[at])
        _invent_entities(world, pool)
        facts = np.full((ENTITIES, RELATIONS), -1, np.int8)
        figures = _invent_facts(world, facts)
        needed = np.zeros((ENTITIES, STATED), np.bool_)
        confirmed = np.zeros(ENTITIES, np.bool_)  # whose figures stay as they are
        _lay_questions(world, facts, figures, needed, confirmed, bigrams)
        _fill_legends(world, facts, needed, confirmed)
        _make_twins(world, members)
        write_documents(world, facts, needed)
        _set_bars(world, facts)


@compiled
def _invent_entities(world, pool):
    """Codes and names, all different."""
    world.code[:] = 0.0
    world.name[:] = -1
    world.twin[:] = -1
    for entity in range(world.entities):
        while True:
            for place in range(CODE):
                world.code[entity, place] = 1.0 if uniform(world) < 0.5 else -1.0
            if _has_distant_code(world, entity):
                break
        while True:
            number = integer_below(world, len(pool))
            for place in range(SYLLABLES):
                world.name[entity, place] = pool[number, place]
            if _has_unique_name(world, entity):
                break


@compiled
def _has_distant_code(world, entity):
    for earlier in range(entity):
        differences = 0
        for place in range(CODE):
            differences += world.code[earlier, place] != world.code[entity, place]
        if differences < _MIN_DIFFERENCES:
            return False
    return True


@compiled
def _has_unique_name(world, entity):
    for namesake in range(world.entities):
        same = True
        for place in range(SYLLABLES):
            same &= world.name[namesake, place] == world.name[entity, place]
        if same and namesake != entity:
            return False
    return True


@compiled
def _invent_facts(world, facts):
    """A fact of each stated relation about everyone; gives who has a figure, of which relation, or -1."""
    figures = world.figure_relation
    figures[:] = -1
    share = figure_share(world)
    for entity in range(world.entities):
        for relation in range(STATED):
            facts[entity, relation] = random_other_entity(world, entity)
        if uniform(world) < share:
            figures[entity] = STATED + integer_below(world, RELATIONS - STATED)
            facts[entity, figures[entity]] = random_other_entity(world, entity)
    return figures


@compiled
def _lay_questions(world, facts, figures, needed, confirmed, bigrams):
    """Chains of facts in which no entity comes twice; ``needed`` are the stated facts that they are made of."""
    for question in range(world.questions):
        hops, chain, asked = world.hops[question], world.chain[question], world.asked[question]
        # A later question may find that no relation goes on from where it is: then it starts anew.
        for _ in range(100):
            chain[:] = -1
            asked[:] = -1
            chain[0] = integer_below(world, world.entities)
            if _lay_chain(world, facts, figures, needed, confirmed, chain, asked, hops, bigrams):
                break
        for hop in range(hops):
            subject, relation = chain[hop], asked[hop]
            if relation >= STATED:
                confirmed[subject] = True
            else:
                needed[subject, relation] = True


@compiled
def _lay_chain(world, facts, figures, needed, confirmed, chain, asked, hops, bigrams):
    """Lay a chain from its start on, changing facts that no question needs yet; whether it came to its end."""
    held_out_hop = integer_below(world, hops - 1) + 1 if hops > 1 and bigrams == HELD_OUT else 0
    for hop in range(hops):
        subject = chain[hop]
        extended = False
        for _ in range(60):
            relation = integer_below(world, STATED)
            if uniform(world) < figure_share(world):
                relation = STATED + integer_below(world, RELATIONS - STATED)
            if hop and bigrams == ALLOWED and is_held_out(asked[hop - 1], relation):
                continue
            if hop and hop == held_out_hop and not is_held_out(asked[hop - 1], relation):
                continue
            fixed = needed[subject, relation] if relation < STATED else confirmed[subject]
            if fixed and relation >= STATED and figures[subject] != relation:
                continue
            target = np.int64(facts[subject, relation]) if fixed else integer_below(world, world.entities)
            if in_chain(chain, hop, target):
                continue
            extended = True
            asked[hop], chain[hop + 1] = relation, target
            if not fixed:
                if relation >= STATED:
                    figures[subject] = relation
                facts[subject, relation] = target
            break
        if not extended:
            return False
    return True


@compiled
def _make_twins(world, members):
    """Make bystanders look like entities of the first question."""
    for number in range(stochastic_round(world, 3 * world.level)):
        if number > world.hops[0]:
            return
        entity = entity_to_twin(world, number)
        if world.twin[entity] >= 0:
            continue
        for _ in range(20):
            twin = random_other_entity(world, entity)
            if world.twin[twin] < 0 and not in_questions(world, twin):
                break
        else:
            continue
        if not _name_twin(world, entity, twin, members):
            continue
        world.twin[entity], world.twin[twin] = twin, entity
        for place in range(CODE):
            world.code[twin, place] = world.code[entity, place]
        first = integer_below(world, CODE)
        for step in range(_TWIN_DIFFERENCES):
            place = (first + 5 * step) % CODE
            world.code[twin, place] = -world.code[entity, place]


@compiled
def _name_twin(world, entity, twin, members):
    """Give the twin a name of the same split that differs in one syllable; whether there was one."""
    before = world.name[twin].copy()
    for _ in range(40):
        for place in range(SYLLABLES):
            world.name[twin, place] = world.name[entity, place]
        place = integer_below(world, 2 if world.name[entity, 2] < 0 else 3)
        world.name[twin, place] = integer_below(world, _SYLLABLES)
        third = world.name[twin, 2]
        in_split = members[world.name[twin, 0], world.name[twin, 1], _SYLLABLES if third < 0 else third]
        if in_split and _has_unique_name(world, twin):
            return True
    for place in range(SYLLABLES):
        world.name[twin, place] = before[place]
    return False


@compiled
def _fill_legends(world, facts, needed, confirmed):
    """Whose bars each figure has, in any order; those of asked figures lead on alike, to wherever the question goes."""
    world.bar_entity[:] = -1
    for question in range(world.questions):
        for hop in range(world.hops[question]):
            subject = np.int64(world.chain[question, hop])
            if world.asked[question, hop] < STATED:
                continue
            if world.bar_entity[subject, 0] < 0:
                _fill_legend(world, facts, subject)
            for bar in range(world.bars):
                _complete_chain_from(
                    world, facts, needed, confirmed, np.int64(world.bar_entity[subject, bar]), question, hop + 1
                )
    for entity in range(world.entities):
        if world.figure_relation[entity] >= 0 and world.bar_entity[entity, 0] < 0:
            _fill_legend(world, facts, entity)


@compiled
def _fill_legend(world, facts, entity):
    """The figure's fact at any bar; the others are of those whom nothing rules out: no chain comes to anyone twice."""
    relation = world.figure_relation[entity]
    legend = world.bar_entity[entity]
    answer = integer_below(world, world.bars)
    legend[answer] = facts[entity, relation]
    for bar in range(world.bars):
        while bar != answer:
            candidate = random_other_entity(world, entity)
            if not in_legend(world, legend, candidate) and not _was_passed_before(world, entity, relation, candidate):
                legend[bar] = candidate
                break


@compiled
def _was_passed_before(world, entity, relation, candidate):
    """Whether a question that asks for an entity's figure was at a candidate for its legend before."""
    for question in range(world.questions):
        for hop in range(world.hops[question]):
            asked = world.chain[question, hop] == entity and world.asked[question, hop] == relation
            if asked and in_chain(world.chain[question], hop, candidate):
                return True
    return False


@compiled
def _complete_chain_from(world, facts, needed, confirmed, entity, question, hop):
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
            facts[entity, relation] = random_other_entity(world, entity)
        entity = np.int64(facts[entity, relation])


@compiled
def _set_bars(world, facts):
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
        rule = random_figure_rule(world)
        world.figure_rule[entity] = rule
        for bar in range(bars):
            order[bar] = bar
        shuffle(world, order, bars)  # the bar with each height, the tallest first
        rank = 0 if rule == TALLEST else 1 if rule == SECOND else bars - 1
        for place in range(bars):
            if world.bar_entity[entity, order[place]] == facts[entity, relation]:
                order[place], order[rank] = order[rank], order[place]
                break
        lowest = 0.1 + uniform(world) * (0.95 - 0.1 - _HEIGHT_STEP * bars)
        for rank in range(bars):
            world.bar_height[entity, order[rank]] = lowest + _HEIGHT_STEP * (bars - 1 - rank + 0.15 * uniform(world))
        assign_colours_and_places(world, entity)

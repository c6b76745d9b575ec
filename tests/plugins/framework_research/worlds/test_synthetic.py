"""Synthetic worlds: what every one of them has to be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from researching import asked_bar, hops, sample_worlds, synthetic_world

from framework_research.config import SPLITS
from framework_research.worlds.bigrams import is_held_out
from framework_research.worlds.names import spell, split_of
from framework_research.worlds.synthetic import Synthetic
from framework_research.worlds.world import CODE, STATED, WORLD

LEVELS = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0]
levels = pytest.mark.parametrize("level", LEVELS)


@levels
def test_every_question_can_be_answered(level):
    """Each hop's fact stands once in the document of its subject, in a line or in the figure."""
    for world in sample_worlds(Synthetic("train"), level, 200):
        for subject, relation, target in hops(world):
            evidence = (world["subject"][subject] == subject) & (world["relation"][subject] == relation)
            assert evidence.sum() == 1
            if relation < STATED:
                assert world["object"][subject][evidence] == target
            else:
                assert world["object"][subject][evidence] == -1
                assert world["figure_relation"][subject] == relation
                assert evidence[world["figure_page"][subject]].sum() == 1
                assert asked_bar(world, subject) == target


@levels
def test_no_entity_comes_twice_in_a_question(level):
    """Nor does a question have more or fewer hops than the level says."""
    for world in sample_worlds(Synthetic("train"), level, 200):
        for question in range(world["questions"]):
            count = world["hops"][question]
            assert len(set(world["chain"][question][: count + 1].tolist())) == count + 1
            assert int(np.floor(1 + 4 * level)) <= count <= int(np.ceil(1 + 4 * level))
            assert (world["asked"][question][count:] == -1).all()


def test_the_same_level_and_seed_are_the_same_world():
    """Byte for byte, whatever was made before and beside it; others differ."""
    alone = synthetic_world(0.7, 5)
    assert sample_worlds(Synthetic("train"), 0.7, 9)[5].tobytes() == alone.tobytes()
    used = np.zeros(3, WORLD)
    used[:] = synthetic_world(1.0, 1)
    Synthetic("train").sample(used, np.full(3, 0.7), np.full(3, 5, np.uint64))
    assert used[1].tobytes() == alone.tobytes()
    assert synthetic_world(0.7, 6).tobytes() != alone.tobytes()
    assert synthetic_world(0.6999, 5)["code"].tobytes() != alone["code"].tobytes()


def test_codes_are_far_apart_but_for_twins():
    """At least 4 of 16 places differ; 2 do where two entities are twins, and no twin is asked about."""
    for world in sample_worlds(Synthetic("train"), 1.0, 50):
        codes = world["code"][: world["entities"]]
        assert (np.abs(codes) == 1).all()
        distances = (CODE - codes @ codes.T) / 2 + CODE * np.eye(len(codes))
        for entity, twin in enumerate(world["twin"][: world["entities"]]):
            if twin >= 0:
                assert distances[entity, twin] == 2
                assert world["twin"][twin] == entity
                assert (world["name"][entity] != world["name"][twin]).sum() == 1
                distances[entity, twin] = CODE
        asked_entities = {entity for subject, _, target in hops(world) for entity in (subject, target)}
        twins = {entity for entity in range(world["entities"]) if world["twin"][entity] >= 0}
        assert len(twins - asked_entities) >= len(twins) / 2
        assert distances.min() >= 2


@pytest.mark.parametrize("split", SPLITS)
def test_names_are_of_the_split_and_differ(split):
    """In every world, twins too."""
    for world in sample_worlds(Synthetic(split), 0.8, 20):
        names = [spell(name) for name in world["name"][: world["entities"]]]
        assert len({tuple(name) for name in world["name"][: world["entities"]].tolist()}) == len(names)
        assert {split_of(name) for name in names} == {split}


def test_pairs_of_relations_are_held_out():
    """Training and validation have none of them; each question of several hops has one in the test split."""
    for split in SPLITS:
        for world in sample_worlds(Synthetic(split), 0.6, 200):
            for question in range(world["questions"]):
                relations = world["asked"][question][: world["hops"][question]].tolist()
                held_out = [is_held_out(*pair) for pair in pairwise(relations)]
                if split == "test":
                    assert any(held_out) or len(relations) == 1
                else:
                    assert not any(held_out)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("bigrams", ["train", "held out"])
def test_pairs_can_be_chosen_apart_from_names(split, bigrams):
    """Names stay those of the split; pairs are all held out in one hop at least, or none."""
    for world in sample_worlds(Synthetic(split, bigrams), 0.4, 100):
        assert {split_of(spell(name)) for name in world["name"][: world["entities"]]} == {split}
        pairs = [is_held_out(*pair) for pair in pairwise(world["asked"][0, : world["hops"][0]])]
        assert any(pairs) == (bigrams == "held out" and bool(pairs))


def test_heights_can_be_told_apart():
    """Bars of a figure differ by a tenth at least, and all fit into it; their entities differ, too."""
    for world in sample_worlds(Synthetic("train"), 0.9, 100):
        for entity in np.flatnonzero(world["figure_page"] >= 0):
            heights = np.sort(world["bar_height"][entity][: world["bars"]])
            assert np.diff(heights).min() >= 0.1
            assert heights[0] > 0
            assert heights[-1] <= 1
            assert len(set(world["bar_entity"][entity][: world["bars"]].tolist())) == world["bars"]

"""Synthetic worlds: what every one of them has to be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from framework_research.config import SPLITS
from framework_research.worlds.names import split_of, text
from framework_research.worlds.synthetic import Synthetic, held_out, world
from framework_research.worlds.world import CODE, LINES, SECOND, SHORTEST, STATED, TALLEST, WORLD

LEVELS = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0]
levels = pytest.mark.parametrize("level", LEVELS)


def worlds(level: float, count: int = 200, split: str = "train") -> np.ndarray:
    found = np.zeros(count, WORLD)
    Synthetic(split).sample(found, np.full(count, level), np.arange(count, dtype=np.uint64))
    return found


def chains(one: np.void):
    """(subject, relation, object) of each hop of each question."""
    for question in range(one["questions"]):
        for hop in range(one["hops"][question]):
            chain = one["chain"][question]
            yield question, int(chain[hop]), int(one["asked"][question, hop]), int(chain[hop + 1])


def shown(one: np.void, entity: int) -> int:
    """The entity that a document's figure is about, by its rule."""
    order = np.argsort(-one["bar_height"][entity][: one["bars"]])
    place = {TALLEST: 0, SHORTEST: -1, SECOND: 1}[int(one["figure_rule"][entity])]
    return int(one["bar_entity"][entity][order[place]])


@levels
def test_every_question_can_be_answered(level):
    """Each hop's fact stands once in the document of its subject, in a line or in the figure."""
    for one in worlds(level):
        for _, subject, relation, target in chains(one):
            own = (one["subject"][subject] == subject) & (one["relation"][subject] == relation)
            assert own.sum() == 1
            if relation < STATED:
                assert one["object"][subject][own] == target
            else:
                assert one["object"][subject][own] == -1
                assert one["figure_relation"][subject] == relation
                assert own[one["figure_page"][subject]].sum() == 1
                assert shown(one, subject) == target


@levels
def test_no_entity_comes_twice_in_a_question(level):
    """Nor does a question have more or fewer hops than the level says."""
    for one in worlds(level):
        for question in range(one["questions"]):
            hops = one["hops"][question]
            assert len(set(one["chain"][question][: hops + 1].tolist())) == hops + 1
            assert int(np.floor(1 + 4 * level)) <= hops <= int(np.ceil(1 + 4 * level))
            assert (one["asked"][question][hops:] == -1).all()


@levels
def test_all_lines_are_true(level):
    """Whoever states a fact, everyone states the same: a subject and a relation have one object."""
    for one in worlds(level, 50):
        facts = {}
        lines = one["subject"] >= 0
        for subject, relation, target in zip(
            *(one[part][lines] for part in ("subject", "relation", "object")), strict=True
        ):
            if target >= 0:
                assert facts.setdefault((subject, relation), target) == target
                assert target != subject


@levels
def test_pages_are_full_and_mostly_about_others(level):
    """All lines of all pages are there; at most two facts a page are its own, but for those asked."""
    for one in worlds(level, 50):
        count, pages = one["entities"], one["pages"]
        assert (one["subject"][:count, :pages] >= 0).all()
        assert (one["subject"][count:] == -1).all()
        assert (one["subject"][:, pages:] == -1).all()
        own = (one["subject"][:count] == np.arange(count)[:, None, None]).sum((1, 2))
        assert (own <= 2 * pages + 4).all()
        assert own.mean() < 0.6 * LINES * pages


def test_sizes_are_those_of_the_level():
    """Means over many worlds are what the formulas say."""
    for level in LEVELS:
        many = worlds(level, 1000)
        assert (many["entities"] == round(6 * 2 ** (3.4 * level))).all()
        assert many["hops"][:, 0].mean() == pytest.approx(1 + 4 * level, abs=0.06)
        assert many["pages"].mean() == pytest.approx(1 + 2 * level, abs=0.06)
        assert many["bars"].mean() == pytest.approx(2 + 2 * level, abs=0.06)
        assert many["questions"].mean() == pytest.approx(1 + 6 * max(0, level - 0.5), abs=0.06)


def test_share_of_figures():
    """None below level .15; then the share of hops that the level says."""
    for level in LEVELS:
        relations = np.concatenate([[relation for _, _, relation, _ in chains(one)] for one in worlds(level, 1000)])
        expected = 0.0 if level < 0.15 else min(0.6, 0.2 + 0.5 * level)
        # Documents have one figure, which a second question may find taken: a little less at high levels.
        assert (relations >= STATED).mean() == pytest.approx(expected, abs=0.06)


def test_what_figures_ask_for():
    """The tallest bar up to level .5; then others too, from one figure in five at .6 to two in three."""
    for level, others in ((0.3, 0.0), (0.5, 0.0), (0.6, 0.2), (0.7, 0.4), (1.0, 2 / 3)):
        rules = np.concatenate([one["figure_rule"][one["figure_page"] >= 0] for one in worlds(level, 400)])
        for rule in (SHORTEST, SECOND):
            assert (rules == rule).mean() == pytest.approx(others / 2, abs=0.03)


def test_dead_links():
    """As many as the level says, at most four fifths."""
    for level in LEVELS:
        many = worlds(level, 100)
        links = many["object"] >= 0
        assert 1 - many["alive"][links].mean() == pytest.approx(min(0.8, level), abs=0.02)


def test_the_same_level_and_seed_are_the_same_world():
    """Byte for byte, whatever was made before and beside it; others differ."""
    alone = world(0.7, 5)
    assert worlds(0.7, 9)[5].tobytes() == alone.tobytes()
    used = np.zeros(3, WORLD)
    used[:] = world(1.0, 1)
    Synthetic("train").sample(used, np.full(3, 0.7), np.full(3, 5, np.uint64))
    assert used[1].tobytes() == alone.tobytes()
    assert world(0.7, 6).tobytes() != alone.tobytes()
    assert world(0.6999, 5)["code"].tobytes() != alone["code"].tobytes()


def test_codes_are_far_apart_but_for_twins():
    """At least 4 of 16 places differ; 2 do where two entities are twins, and no twin is asked about."""
    for one in worlds(1.0, 50):
        codes = one["code"][: one["entities"]]
        assert (np.abs(codes) == 1).all()
        apart = (CODE - codes @ codes.T) / 2 + CODE * np.eye(len(codes))
        for entity, twin in enumerate(one["twin"][: one["entities"]]):
            if twin >= 0:
                assert apart[entity, twin] == 2
                assert one["twin"][twin] == entity
                assert (one["name"][entity] != one["name"][twin]).sum() == 1
                apart[entity, twin] = CODE
        asked = {entity for question, *entities in chains(one) for entity in (entities[0], entities[2])}
        twins = {entity for entity in range(one["entities"]) if one["twin"][entity] >= 0}
        assert len(twins - asked) >= len(twins) / 2
        assert apart.min() >= 2


@pytest.mark.parametrize("split", SPLITS)
def test_names_are_of_the_split_and_differ(split):
    """In every world, twins too."""
    for one in worlds(0.8, 20, split):
        found = [text(name) for name in one["name"][: one["entities"]]]
        assert len({tuple(name) for name in one["name"][: one["entities"]].tolist()}) == len(found)
        assert {split_of(name) for name in found} == {split}


def test_pairs_of_relations_are_held_out():
    """Training and validation have none of them; each question of several hops has one in the test split."""
    for split in SPLITS:
        for one in worlds(0.6, 200, split):
            for question in range(one["questions"]):
                asked = one["asked"][question][: one["hops"][question]].tolist()
                found = [held_out(*pair) for pair in pairwise(asked)]
                if split == "test":
                    assert any(found) or len(asked) == 1
                else:
                    assert not any(found)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("bigrams", ["train", "held out"])
def test_pairs_can_be_chosen_apart_from_names(split, bigrams):
    """Names stay those of the split; pairs are all held out in one hop at least, or none."""
    found = np.zeros(100, WORLD)
    Synthetic(split, bigrams).sample(found, np.full(100, 0.4), np.arange(100, dtype=np.uint64))
    for one in found:
        assert {split_of(text(name)) for name in one["name"][: one["entities"]]} == {split}
        pairs = [held_out(*pair) for pair in pairwise(one["asked"][0, : one["hops"][0]])]
        assert any(pairs) == (bigrams == "held out" and bool(pairs))


def test_heights_can_be_told_apart():
    """Bars of a figure differ by a tenth at least, and all fit into it; their entities differ, too."""
    for one in worlds(0.9, 100):
        for entity in np.flatnonzero(one["figure_page"] >= 0):
            heights = np.sort(one["bar_height"][entity][: one["bars"]])
            assert np.diff(heights).min() >= 0.1
            assert heights[0] > 0
            assert heights[-1] <= 1
            assert len(set(one["bar_entity"][entity][: one["bars"]].tolist())) == one["bars"]

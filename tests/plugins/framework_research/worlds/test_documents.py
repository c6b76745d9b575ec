"""Documents: where the facts of a world stand."""

from __future__ import annotations

import numpy as np
import pytest
from researching import sample_worlds, synthetic_world

from framework_research.worlds.documents import write_documents
from framework_research.worlds.synthetic import Synthetic
from framework_research.worlds.world import ENTITIES, LINES, RELATIONS, STATED

LEVELS = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0]
levels = pytest.mark.parametrize("level", LEVELS)


@levels
def test_all_lines_are_true(level):
    """Whoever states a fact, everyone states the same: a subject and a relation have one object."""
    for world in sample_worlds(Synthetic("train"), level, 50):
        facts = {}
        lines = world["subject"] >= 0
        for subject, relation, target in zip(
            *(world[part][lines] for part in ("subject", "relation", "object")), strict=True
        ):
            if target >= 0:
                assert facts.setdefault((subject, relation), target) == target
                assert target != subject


@levels
def test_pages_are_full_and_mostly_about_others(level):
    """All lines of all pages are there; at most two facts a page are its own, but for those asked."""
    for world in sample_worlds(Synthetic("train"), level, 50):
        count, pages = world["entities"], world["pages"]
        assert (world["subject"][:count, :pages] >= 0).all()
        assert (world["subject"][count:] == -1).all()
        assert (world["subject"][:, pages:] == -1).all()
        about_itself = (world["subject"][:count] == np.arange(count)[:, None, None]).sum((1, 2))
        assert (about_itself <= 2 * pages + 4).all()
        assert about_itself.mean() < 0.6 * LINES * pages


def test_dead_links():
    """As many as the level says, at most four fifths."""
    for level in LEVELS:
        worlds = sample_worlds(Synthetic("train"), level, 100)
        links = worlds["object"] >= 0
        assert 1 - worlds["alive"][links].mean() == pytest.approx(min(0.8, level), abs=0.02)


def test_documents_state_what_is_needed_and_nothing_that_is_not_there() -> None:
    """A corpus that lacks facts leaves lines empty; those needed stand in the document of their subject, once each."""
    for seed in range(20):
        world, rng = synthetic_world(0.5, seed), np.random.default_rng(seed)
        facts = rng.integers(0, world["entities"], (ENTITIES, RELATIONS)).astype(np.int8)
        facts[rng.random(facts.shape) < 0.9] = -1
        needed = (facts[:, :STATED] >= 0) & (rng.random((ENTITIES, STATED)) < 0.3)
        write_documents(world, facts, needed)
        stated = world["object"] >= 0
        assert 0 < stated.sum() < world["entities"] * world["pages"] * LINES
        subjects, relations = world["subject"][stated], world["relation"][stated]
        np.testing.assert_array_equal(world["object"][stated], facts[subjects, relations])
        for entity, relation in np.argwhere(needed[: world["entities"]]):
            lines = (world["subject"][entity] == entity) & (world["relation"][entity] == relation)
            assert lines.sum() == 1

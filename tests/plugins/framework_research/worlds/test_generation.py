"""What a level says of every world: sizes, and what figures ask for."""

from __future__ import annotations

import numpy as np
import pytest
from researching import hops, sample_worlds, synthetic_world

from framework_research.worlds.generation import entity_to_twin, in_chain, in_questions, random_other_entity
from framework_research.worlds.synthetic import Synthetic
from framework_research.worlds.world import SECOND, SHORTEST, STATED

LEVELS = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0]


def test_sizes_are_those_of_the_level():
    """Means over many worlds are what the formulas say."""
    for level in LEVELS:
        worlds = sample_worlds(Synthetic("train"), level, 1000)
        assert (worlds["entities"] == round(6 * 2 ** (3.4 * level))).all()
        assert worlds["hops"][:, 0].mean() == pytest.approx(1 + 4 * level, abs=0.06)
        assert worlds["pages"].mean() == pytest.approx(1 + 2 * level, abs=0.06)
        assert worlds["bars"].mean() == pytest.approx(2 + 2 * level, abs=0.06)
        assert worlds["questions"].mean() == pytest.approx(1 + 6 * max(0, level - 0.5), abs=0.06)


def test_share_of_figures():
    """None below level .15; then the share of hops that the level says."""
    for level in LEVELS:
        worlds = sample_worlds(Synthetic("train"), level, 1000)
        relations = np.concatenate([[relation for _, relation, _ in hops(world)] for world in worlds])
        expected = 0.0 if level < 0.15 else min(0.6, 0.2 + 0.5 * level)
        # Documents have one figure, which a second question may find taken: a little less at high levels.
        assert (relations >= STATED).mean() == pytest.approx(expected, abs=0.06)


def test_what_figures_ask_for():
    """The tallest bar up to level .5; then others too, from one figure in five at .6 to two in three."""
    for level, share in ((0.3, 0.0), (0.5, 0.0), (0.6, 0.2), (0.7, 0.4), (1.0, 2 / 3)):
        worlds = sample_worlds(Synthetic("train"), level, 400)
        rules = np.concatenate([world["figure_rule"][world["figure_page"] >= 0] for world in worlds])
        for rule in (SHORTEST, SECOND):
            assert (rules == rule).mean() == pytest.approx(share / 2, abs=0.03)


def test_the_other_entity_is_any_but_this_one() -> None:
    """Each of the others as often (chi-square, at the 0.1 % level)."""
    world = synthetic_world(0.2, 0)
    count = int(world["entities"])
    counts = np.bincount([random_other_entity(world, 3) for _ in range(4000)], minlength=count)
    assert (len(counts), counts[3]) == (count, 0)
    expected = 4000 / (count - 1)
    assert ((np.delete(counts, 3) - expected) ** 2 / expected).sum() < 24.3  # at most 7 degrees of freedom


def test_entities_of_questions() -> None:
    """Those of its chain, and all bars of its figures; a chain knows those up to a hop."""
    for seed in range(20):
        world = synthetic_world(0.7, seed)
        in_any = set()
        for subject, relation, target in hops(world):
            in_any |= {subject, target}
            if relation >= STATED:
                in_any |= set(world["bar_entity"][subject][: world["bars"]].tolist())
        count = int(world["entities"])
        assert {entity for entity in range(count) if in_questions(world, entity)} == in_any
        chain = world["chain"][0]
        assert [in_chain(chain, 1, chain[hop]) for hop in range(3)] == [True, True, False]


def test_behind_a_figure_any_bar_gets_the_twin() -> None:
    """Otherwise it is the entity of the chain: a twin does not tell which bar is the right one."""
    through_figures = 0
    for seed in range(20):
        world = synthetic_world(0.7, seed)
        for hop in range(int(world["hops"][0]) + 1):
            twinned = {int(entity_to_twin(world, hop)) for _ in range(60)}
            if hop and world["asked"][0, hop - 1] >= STATED:
                assert twinned == set(world["bar_entity"][world["chain"][0, hop - 1]][: world["bars"]].tolist())
                through_figures += 1
            else:
                assert twinned == {int(world["chain"][0, hop])}
    assert through_figures > 5

"""What comes up only above level .5."""

from __future__ import annotations

import numpy as np
import pytest

from framework_research.worlds.synthetic import Synthetic
from framework_research.worlds.world import STATED, TALLEST, WORLD
from research_limits import asks_for_another


@pytest.mark.parametrize("level", [0.4, 0.6, 1.0])
def test_figures_that_ask_for_another_bar(level: float) -> None:
    """Those that a question leads through, hop by hop; below .5 there is none."""
    worlds = np.zeros(200, WORLD)
    Synthetic("test").sample(worlds, np.full(200, level), np.arange(200, dtype=np.uint64))
    expected = [
        any(
            world["asked"][question, hop] >= STATED and world["figure_rule"][world["chain"][question, hop]] != TALLEST
            for question in range(world["questions"])
            for hop in range(world["hops"][question])
        )
        for world in worlds
    ]
    assert asks_for_another(worlds).tolist() == expected
    assert any(expected) == (level > 0.5)

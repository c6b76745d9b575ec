"""Figures as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from researching import Played

from framework_research.browser import rules
from framework_research.observe import view
from framework_research.observe.figure import COLOURS, SIDE
from framework_research.worlds.world import BARS


def opened(level: float = 0.7) -> Played:
    """The first document of a question, with a figure on its first page."""
    for seed in range(200):
        played = Played(level, seed, observation_mode="multimodal")
        start = int(played.world["chain"][0, 0])
        if played.world["figure_page"][start] == 0:
            played.open(start)
            return played
    pytest.fail("no such world")


def seen(played: Played) -> dict[str, np.ndarray]:
    return {name: array[0] for name, array in played.environment.desks.observations().items()}


def test_a_picture_has_the_heights_by_colour_and_the_page_has_who_each_colour_is() -> None:
    """Read from the picture alone, heights are right to a pixel; none of them is in the page's numbers."""
    played = opened()
    before = seen(played)
    assert not before["figure"].any()
    played.act(rules.VIEW_FIGURE)
    after = seen(played)
    document = int(played.browser["document"])
    for bar in range(played.world["bars"]):
        row = after["page"][view.BAR + bar]
        shade = COLOURS[row[view.COLOUR : view.COLOUR + BARS].argmax()]
        painted = (after["figure"] == shade[:, None, None]).all(0)
        assert painted.any(1).sum() == pytest.approx(played.world["bar_height"][document, bar] * (SIDE - 2), abs=0.51)
        place = np.flatnonzero(painted.any(0)).mean() * BARS // SIDE
        assert place == played.world["bar_place"][document, bar]
    changed = np.argwhere(before["page"] != after["page"])
    assert set(map(tuple, changed)) <= {(view.DOCUMENT, view.FIGURE_OPEN), (view.MISC, view.TIME)}


def test_a_figure_closes_with_its_page() -> None:
    """What was seen is not seen any more."""
    played = opened()
    played.act(rules.VIEW_FIGURE)
    assert seen(played)["figure"].any()
    other = next(at for at, entity in enumerate(played.browser["results"]) if entity != played.browser["document"])
    played.act(rules.OPEN + other)
    played.act(rules.BACK)
    assert not seen(played)["figure"].any()

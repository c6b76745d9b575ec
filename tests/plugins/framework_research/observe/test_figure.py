"""Figures as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from researching import Played, on_figure

from framework_research.browser import actions
from framework_research.observe import view
from framework_research.observe.figure import COLOURS, SIDE
from framework_research.worlds.world import BARS


def observed(played: Played) -> dict[str, np.ndarray]:
    return {name: array[0] for name, array in played.environment.episodes.observations().items()}


def test_a_picture_has_the_heights_by_colour_and_the_page_has_who_each_colour_is() -> None:
    """Read from the picture alone, heights are right to a pixel; none of them is in the page's numbers."""
    played = on_figure(observation_mode="multimodal")
    before = observed(played)
    assert not before["figure"].any()
    played.act(actions.VIEW_FIGURE)
    after = observed(played)
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
    played = on_figure(observation_mode="multimodal")
    played.act(actions.VIEW_FIGURE)
    assert observed(played)["figure"].any()
    result = next(at for at, entity in enumerate(played.browser["results"]) if entity != played.browser["document"])
    played.act(actions.OPEN + result)
    played.act(actions.BACK)
    assert not observed(played)["figure"].any()

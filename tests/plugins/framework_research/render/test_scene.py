"""What a person is told of pages and actions."""

from __future__ import annotations

import numpy as np
import pytest
from shown import Shown, with_figure

from framework_research.browser import actions
from framework_research.environment import ResearchEnv
from framework_research.render.scene import describe_action, describe_scene


@pytest.mark.parametrize("level", [0.0, 0.6, 1.0])
def test_everything_can_be_told(level: float) -> None:
    """Any action at any time, legal or not, before and after the end."""
    environment, rng = ResearchEnv(task_complexity=level, render_mode="ansi"), np.random.default_rng(0)
    for seed in range(3):
        _, info = environment.reset(seed=seed)
        for step in range(150):
            legal = np.flatnonzero(info["action_mask"])
            action = int(rng.choice(legal)) if step % 2 else int(rng.integers(actions.ACTIONS))
            ended = environment.step(action)[2]
            info = {"action_mask": environment.episodes.masks[0]}
            assert "last action: " in environment.render()
            if ended:
                break
        assert ("All questions are answered" in environment.render()) == ended


def test_an_action_is_named_with_what_it_is_about() -> None:
    """Who is searched for or opened, or the fact that is noted; the name alone where there is nothing."""
    shown = Shown(0.0)
    corpus, world, browser = shown.environment.episodes.corpus, shown.world, shown.browser
    start = int(world["chain"][0, 0])
    assert describe_action(corpus, world, browser, actions.SEARCH_QUESTION) == f"SEARCH_QUESTION: {shown.name(start)}"
    assert describe_action(corpus, world, browser, actions.OPEN + 3) == "OPEN 3"
    assert describe_action(corpus, world, browser, actions.BACK) == "BACK"
    shown.until(actions.NOTE, actions.NOTE_BAR - 1)
    target = shown.name(world["object"][start, 0, 0])
    assert describe_action(corpus, world, browser, actions.FOLLOW) == f"FOLLOW 0: {target}"
    relation = corpus.relation(int(world["relation"][start, 0, 0]))
    subject = shown.name(world["subject"][start, 0, 0])
    assert describe_action(corpus, world, browser, actions.NOTE) == f"NOTE 0: The {relation} of {subject} is {target}"


def test_a_scene_has_what_the_browser_has() -> None:
    """Results, lines and notes by name; of a figure its bars, whose heights and places are None until it is open."""
    shown = with_figure("ansi")
    corpus, world, browser = shown.environment.episodes.corpus, shown.world, shown.browser
    empty = describe_scene(corpus, world, browser, "state", "action")
    assert (empty.state, empty.action, empty.title, empty.figure) == ("state", "action", "", "")
    assert empty.results == empty.lines == empty.bars == empty.notes == []
    shown.until(actions.VIEW_FIGURE, actions.VIEW_FIGURE)
    document, bars = int(browser["document"]), int(world["bars"])
    closed = describe_scene(corpus, world, browser, "", "")
    assert closed.results == [shown.name(entity) for entity in browser["results"]]
    assert [bar.entity for bar in closed.bars] == [
        shown.name(entity) for entity in world["bar_entity"][document][:bars]
    ]
    assert {(bar.height, bar.place) for bar in closed.bars} == {(None, None)}
    shown.act()
    opened = describe_scene(corpus, world, browser, "", "")
    assert [bar.height for bar in opened.bars] == world["bar_height"][document][:bars].tolist()
    assert [bar.place for bar in opened.bars] == world["bar_place"][document][:bars].tolist()
    assert len(opened.notes) == browser["noted"]

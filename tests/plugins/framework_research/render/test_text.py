"""Scenes as text."""

from __future__ import annotations

import re

from shown import Shown, with_figure

from framework_research.browser import actions
from framework_research.render.scene import COLOURS


def test_the_text_tells_what_there_is() -> None:
    """Question, results, page with its links, notes, steps, and the last action in words."""
    shown = Shown(0.0)
    start, answer = shown.world["chain"][0, :2]
    text = shown.render()
    assert re.search(rf"Question 1 of 1: who is the \w+ of {shown.name(start)}\?", text)
    assert "step 0 of 1000, level 0.00" in text
    assert not re.search("Results|Notes|page|Figure", text)
    shown.act()
    assert f"last action: SEARCH_QUESTION: {shown.name(start)}" in shown.render()
    for number, entity in enumerate(shown.browser["results"]):
        assert f"\n  {number}  {shown.name(entity)}" in shown.render()
    opened = shown.actions[0] - actions.OPEN
    shown.act()
    document = shown.browser["document"]
    assert f"last action: OPEN {opened}: {shown.name(document)}" in shown.render()
    assert f"\n\n{shown.name(document)}, page 1 of 1\n" in shown.render()
    for line in range(6):
        subject, target, alive = (shown.world[part][document, 0, line] for part in ("subject", "object", "alive"))
        state = "link" if alive else "dead link"
        sentence = rf"\n  {line}  The \w+ of {shown.name(subject)} is {shown.name(target)} \[{state}\]"
        assert re.search(sentence, shown.render())
    shown.act()
    assert re.search(rf"last action: NOTE \d: The \w+ of \w+ is {shown.name(answer)}\n", shown.render())
    assert re.search(rf"Notes\n  0  The \w+ of {shown.name(start)} is {shown.name(answer)}$", shown.render())
    shown.act()
    assert f"last action: ANSWER 0: {shown.name(answer)}, which succeeds" in shown.render()
    assert "step 4 of 1000, level 0.00, rewards so far 0.996, successes 1 of 1" in shown.render()


def test_heights_are_told_of_an_open_figure_only() -> None:
    """Before there is its legend: colours and names."""
    shown = with_figure("ansi")
    shown.until(actions.VIEW_FIGURE, actions.VIEW_FIGURE)
    document, bars = int(shown.browser["document"]), int(shown.world["bars"])
    legend = [
        rf"\n  {bar}  {COLOURS[shown.world['bar_colour'][document, bar]]} +"
        rf"{shown.name(shown.world['bar_entity'][document, bar])} +"
        for bar in range(bars)
    ]
    assert "is the tallest bar of the figure" in shown.render()
    for line in legend:
        assert re.search(line + r"\(not looked at\)", shown.render())
    shown.act()
    for bar, line in enumerate(legend):
        assert re.search(line + rf"#+ {shown.world['bar_height'][document, bar]:.2f}", shown.render())

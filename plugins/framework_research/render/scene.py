"""What a person is shown of an episode at a time, in words: pages, figures, notes and actions."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from framework_research.browser import actions
from framework_research.browser.state import page_has_figure
from framework_research.worlds.corpus import Corpus
from framework_research.worlds.world import LINES, SECOND, SHORTEST, TALLEST

#: What the colours of `framework_research.observe.figure` are called.
COLOURS = ("red", "green", "blue", "yellow")
_RULES = {TALLEST: "tallest", SHORTEST: "shortest", SECOND: "second tallest"}
#: The name of each kind of action, by the first of it.
_KINDS = {
    getattr(actions, kind): kind
    for kind in (
        *("SEARCH_QUESTION", "SEARCH_NOTE", "OPEN", "FOLLOW", "PAGE_DOWN", "PAGE_UP", "BACK"),
        *("VIEW_FIGURE", "FIND", "NOTE", "NOTE_BAR", "ANSWER", "DROP"),
    )
}
_SINGLE = (actions.SEARCH_QUESTION, actions.PAGE_DOWN, actions.PAGE_UP, actions.BACK, actions.VIEW_FIGURE)


@frozen
class Bar:
    """A bar of a figure. Height and place are None while the figure is not open."""

    entity: str
    colour: str
    height: float | None
    place: int | None


@frozen
class Scene:
    """All that is shown at a time. Lists are empty where there is nothing."""

    question: str
    state: str
    action: str
    results: list[str]
    title: str
    lines: list[str]
    figure: str
    bars: list[Bar]
    notes: list[str]


def describe_scene(corpus: Corpus, world: np.void, browser: np.void, state: str, action: str) -> Scene:
    """All that a world and its browser show, with a line about the state of the episode and the last action."""
    document, page = int(browser["document"]), int(browser["page"])
    opened = document >= 0
    figure = opened and bool(page_has_figure(world, browser))
    return Scene(
        question=_describe_question(corpus, world, int(browser["question"])),
        state=state,
        action=action,
        results=[corpus.name(world, entity) for entity in browser["results"] if entity >= 0],
        title=f"{corpus.name(world, document)}, page {page + 1} of {world['pages']}" if opened else "",
        lines=[_describe_line(corpus, world, document, page, line) for line in range(LINES)] if opened else [],
        figure=_caption(corpus, world, document) if figure else "",
        bars=_describe_bars(corpus, world, document, bool(browser["viewed"])) if figure else [],
        notes=[_fact_sentence(corpus, world, *note) for note in browser["notes"][: browser["noted"]].tolist()],
    )


def describe_action(corpus: Corpus, world: np.void, browser: np.void, action: int) -> str:
    """An action in words, such as "OPEN 3: Kalomi". Where there is nothing that it is about, its name alone."""
    first = max(start for start in _KINDS if start <= action)
    number = action - first
    name = _KINDS[first] if first in _SINGLE else f"{_KINDS[first]} {number}"
    subject = _subject_of_action(corpus, world, browser, first, number)
    return f"{name}: {subject}" if subject else name


def _subject_of_action(corpus: Corpus, world: np.void, browser: np.void, first: int, number: int) -> str:
    """What an action of the kind that starts with ``first`` would be about."""
    question, document, page = (int(browser[part]) for part in ("question", "document", "page"))
    if question == world["questions"]:
        return ""
    if first == actions.FIND:
        return corpus.relation(world["asked"][question, number]) if number < world["hops"][question] else ""
    if first == actions.NOTE:
        return _statement(corpus, world, document, page, number) if document >= 0 else ""
    entity = -1
    if first == actions.SEARCH_QUESTION:
        entity = world["chain"][question, 0]
    elif first == actions.OPEN:
        entity = browser["results"][number]
    elif first in (actions.SEARCH_NOTE, actions.ANSWER, actions.DROP):
        entity = browser["notes"][number, 2]
    elif first == actions.VIEW_FIGURE:
        entity = document
    elif first == actions.FOLLOW and document >= 0:
        entity = world["object"][document, page, number]
    elif first == actions.NOTE_BAR and document >= 0:
        entity = world["bar_entity"][document, number]
    return corpus.name(world, entity) if entity >= 0 else ""


def _fact_sentence(corpus: Corpus, world: np.void, subject: int, relation: int, target: int) -> str:
    return f"The {corpus.relation(relation)} of {corpus.name(world, subject)} is {corpus.name(world, target)}"


def _caption(corpus: Corpus, world: np.void, document: int) -> str:
    return f"Figure: {corpus.relation(world['figure_relation'][document])} of {corpus.name(world, document)}"


def _describe_question(corpus: Corpus, world: np.void, number: int) -> str:
    if number == world["questions"]:
        return "All questions are answered."
    asked = world["asked"][number, : world["hops"][number]]
    whose = " of the ".join(corpus.relation(relation) for relation in reversed(asked))
    start = corpus.name(world, world["chain"][number, 0])
    return f"Question {number + 1} of {world['questions']}: who is the {whose} of {start}?"


def _describe_line(corpus: Corpus, world: np.void, document: int, page: int, line: int) -> str:
    """A line of a page, with what its link is like."""
    links = world["object"][document, page, line] >= 0
    state = (" [link]" if world["alive"][document, page, line] else " [dead link]") if links else ""
    return _statement(corpus, world, document, page, line) + state


def _statement(corpus: Corpus, world: np.void, document: int, page: int, line: int) -> str:
    """What a line says."""
    subject, relation, target = (int(world[part][document, page, line]) for part in ("subject", "relation", "object"))
    if target >= 0:
        return _fact_sentence(corpus, world, subject, relation, target)
    if subject < 0:
        return ""
    rule = _RULES[int(world["figure_rule"][document])]
    return f"The {corpus.relation(relation)} of {corpus.name(world, subject)} is the {rule} bar of the figure"


def _describe_bars(corpus: Corpus, world: np.void, document: int, viewed: bool) -> list[Bar]:
    """In the order of the legend."""
    return [
        Bar(
            entity=corpus.name(world, world["bar_entity"][document, bar]),
            colour=COLOURS[world["bar_colour"][document, bar]],
            height=float(world["bar_height"][document, bar]) if viewed else None,
            place=int(world["bar_place"][document, bar]) if viewed else None,
        )
        for bar in range(world["bars"])
    ]

"""What a person is shown of an episode, in words: the text of render mode "ansi", and what pictures are drawn from."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
from attrs import frozen

from framework.errors import RunError
from framework_research.browser import rules
from framework_research.worlds.corpus import Corpus
from framework_research.worlds.world import LINES, SECOND, SHORTEST, TALLEST

MODES = ("ansi", "rgb_array")
#: What the colours of `framework_research.observe.figure` are called.
COLOURS = ("red", "green", "blue", "yellow")
_RULES = {TALLEST: "tallest", SHORTEST: "shortest", SECOND: "second tallest"}
#: The name of each kind of action, by the first of it.
_KINDS = {
    getattr(rules, kind): kind
    for kind in (
        *("SEARCH_QUESTION", "SEARCH_NOTE", "OPEN", "FOLLOW", "PAGE_DOWN", "PAGE_UP", "BACK"),
        *("VIEW_FIGURE", "FIND", "NOTE", "NOTE_BAR", "ANSWER", "DROP"),
    )
}
_SINGLE = (rules.SEARCH_QUESTION, rules.PAGE_DOWN, rules.PAGE_UP, rules.BACK, rules.VIEW_FIGURE)
_WIDTH, _BAR = 100, 40


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


class Screen:
    """Follows an episode. Raises `RunError` for a mode that there is not."""

    def __init__(self, mode: str, corpus: Corpus, limit: int):
        if mode not in MODES:
            raise RunError(f"the research environment has the render modes {' and '.join(MODES)}, not {mode!r}")
        if mode == "rgb_array":
            from framework_research.render.picture import draw

            self._draw = draw
        self._mode, self._corpus, self._limit = mode, corpus, limit

    def begin(self) -> None:
        """A new episode."""
        self._action, self._score = "none yet", 0.0

    def acting(self, world: np.void, browser: np.void, mask: np.ndarray, action: int) -> None:
        """An action that is about to be taken."""
        self._action = spoken(self._corpus, world, browser, action) + ("" if mask[action] else " (illegal)")
        self._before = browser["question"], browser["succeeded"]

    def acted(self, browser: np.void, reward: float) -> None:
        """What it was worth."""
        self._score += reward
        question, succeeded = self._before
        if browser["question"] > question:
            self._action += ", which succeeds" if browser["succeeded"] > succeeded else ", which fails"

    def show(self, world: np.void, browser: np.void) -> str | np.ndarray:
        """The text, or the picture uint8 [480, 800, 3]."""
        state = (
            f"step {browser['steps']} of {self._limit}, level {world['level']:.2f}, rewards so far {self._score:.3f}, "
            f"successes {browser['succeeded']} of {world['questions']}"
        )
        scene = look(self._corpus, world, browser, state, self._action)
        return text(scene) if self._mode == "ansi" else self._draw(scene)


def fact(corpus: Corpus, world: np.void, subject: int, number: int, target: int) -> str:
    """A fact in a sentence."""
    return f"The {corpus.relation(number)} of {corpus.name(world, subject)} is {corpus.name(world, target)}"


def spoken(corpus: Corpus, world: np.void, browser: np.void, action: int) -> str:
    """An action in words, such as "OPEN 3: Kalomi". Where there is nothing that it is about, its name alone."""
    first = max(start for start in _KINDS if start <= action)
    number = action - first
    said = _KINDS[first] if first in _SINGLE else f"{_KINDS[first]} {number}"
    about = _about(corpus, world, browser, first, number)
    return f"{said}: {about}" if about else said


def _about(corpus: Corpus, world: np.void, browser: np.void, first: int, number: int) -> str:
    """What an action of the kind that starts with ``first`` would be about."""
    question, document, page = (int(browser[part]) for part in ("question", "document", "page"))
    if question == world["questions"]:
        return ""
    if first == rules.FIND:
        return corpus.relation(world["asked"][question, number]) if number < world["hops"][question] else ""
    if first == rules.NOTE:
        return _statement(corpus, world, document, page, number) if document >= 0 else ""
    entity = -1
    if first == rules.SEARCH_QUESTION:
        entity = world["chain"][question, 0]
    elif first == rules.OPEN:
        entity = browser["results"][number]
    elif first in (rules.SEARCH_NOTE, rules.ANSWER, rules.DROP):
        entity = browser["notes"][number, 2]
    elif first == rules.VIEW_FIGURE:
        entity = document
    elif first in (rules.FOLLOW, rules.NOTE_BAR) and document >= 0:
        entity = (
            world["object"][document, page, number] if first == rules.FOLLOW else world["bar_entity"][document, number]
        )
    return corpus.name(world, entity) if entity >= 0 else ""


def look(corpus: Corpus, world: np.void, browser: np.void, state: str, action: str) -> Scene:
    """What is to be seen."""
    document, page = int(browser["document"]), int(browser["page"])
    opened = document >= 0
    figure = opened and bool(rules.has_figure(world, browser))
    return Scene(
        question=_question(corpus, world, int(browser["question"])),
        state=state,
        action=action,
        results=[corpus.name(world, entity) for entity in browser["results"] if entity >= 0],
        title=f"{corpus.name(world, document)}, page {page + 1} of {world['pages']}" if opened else "",
        lines=[_line(corpus, world, document, page, line) for line in range(LINES)] if opened else [],
        figure=_caption(corpus, world, document) if figure else "",
        bars=_bars(corpus, world, document, bool(browser["viewed"])) if figure else [],
        notes=[fact(corpus, world, *note) for note in browser["notes"][: browser["noted"]].tolist()],
    )


def _caption(corpus: Corpus, world: np.void, document: int) -> str:
    return f"Figure: {corpus.relation(world['figure_relation'][document])} of {corpus.name(world, document)}"


def _question(corpus: Corpus, world: np.void, number: int) -> str:
    if number == world["questions"]:
        return "All questions are answered."
    asked = world["asked"][number, : world["hops"][number]]
    whose = " of the ".join(corpus.relation(each) for each in reversed(asked))
    start = corpus.name(world, world["chain"][number, 0])
    return f"Question {number + 1} of {world['questions']}: who is the {whose} of {start}?"


def _line(corpus: Corpus, world: np.void, document: int, page: int, line: int) -> str:
    """A line of a page, with what its link is like."""
    links = world["object"][document, page, line] >= 0
    state = (" [link]" if world["alive"][document, page, line] else " [dead link]") if links else ""
    return _statement(corpus, world, document, page, line) + state


def _statement(corpus: Corpus, world: np.void, document: int, page: int, line: int) -> str:
    """What a line says."""
    subject, number, target = (int(world[part][document, page, line]) for part in ("subject", "relation", "object"))
    if target >= 0:
        return fact(corpus, world, subject, number, target)
    if subject < 0:
        return ""
    rule = _RULES[int(world["figure_rule"][document])]
    return f"The {corpus.relation(number)} of {corpus.name(world, subject)} is the {rule} bar of the figure"


def _bars(corpus: Corpus, world: np.void, document: int, viewed: bool) -> list[Bar]:
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


def text(scene: Scene) -> str:
    """A scene as lines of text."""
    parts = [
        [*wrap(scene.question, _WIDTH), scene.state, f"last action: {scene.action}"],
        ["Results", *numbered(scene.results)] if scene.results else [],
        [scene.title, *numbered(scene.lines)] if scene.title else [],
        [scene.figure, *numbered(_rows(scene.bars))] if scene.figure else [],
        ["Notes", *numbered(scene.notes)] if scene.notes else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def numbered(lines: list[str]) -> list[str]:
    """Lines with the numbers that actions have for them."""
    return [f"  {number}  {line}" for number, line in enumerate(lines)]


def _rows(bars: list[Bar]) -> list[str]:
    width = max(len(bar.entity) for bar in bars)
    return [f"{bar.colour:8}{bar.entity:{width}}  {_height(bar.height)}" for bar in bars]


def _height(height: float | None) -> str:
    return "(not looked at)" if height is None else f"{'#' * round(_BAR * height)} {height:.2f}"

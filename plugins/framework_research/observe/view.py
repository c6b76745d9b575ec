"""What the browser shows, as rows of numbers.

A row has 11 flags, the relation it is about (one-hot, 8), and the codes of its subject and its object (16 each).
"""

from __future__ import annotations

import numpy as np

from framework_research.browser.rules import focus, has_figure
from framework_research.worlds.chance import compiled
from framework_research.worlds.world import BARS, CODE, HOPS, LINES, NOTES, PAGES, QUESTIONS, RELATIONS, RESULTS

#: First row of each kind, and how many rows there are.
QUESTION = 0
HOP = QUESTION + 1
RESULT = HOP + HOPS
DOCUMENT = RESULT + RESULTS
LINE = DOCUMENT + 1
BAR = LINE + LINES
NOTE = BAR + BARS
MISC = NOTE + NOTES
TOKENS = MISC + 1

#: Flags. Rows of all kinds have the first four: that they are there, and what highlighting on a page tells.
PRESENT, SUBJECT_IN_FOCUS, OBJECT_IN_FOCUS, NEXT = range(4)
#: What a figure asks for, in its line and its bars: the first of three, one-hot.
ASKS = 4
#: The others depend on the kind.
QUESTION_NUMBER, QUESTIONS_IN_ALL, HOPS_IN_ALL = 7, 8, 9
HOP_NUMBER = 7
PAGE_NUMBER, PAGES_IN_ALL, FIGURE_HERE, FIGURE_OPEN = 7, 8, 9, 10
ALIVE = 7
HEIGHT, SEEN = 7, 8  # of a bar where rows tell heights
COLOUR = 7  # of a bar where they do not: the first of four, one-hot
LAST = 7
TIME, ROOM, WAY_BACK = 7, 8, 9
_FLAGS = 11
RELATION = _FLAGS
SUBJECT = RELATION + RELATIONS
OBJECT = SUBJECT + CODE
FEATURES = OBJECT + CODE
#: Makes codes of length 1 in rows, where they would otherwise drown the flags.
#: A part of a fact that is missing; typed, as each literal would be compiled for on its own.
ABSENT = np.int64(-1)
_UNIT = np.float32(CODE**-0.5)


@compiled
def similarity(world, one, other):
    """Of two entities' codes, from -1 to 1; only those of the same entity have 1."""
    total = np.float32(0.0)
    for place in range(CODE):
        total += world.code[one, place] * world.code[other, place]
    return total / np.float32(CODE)


@compiled
def is_next(world, browser, relation):
    """Whether it is the relation of the first hop that has no note yet, as many notes as there are."""
    return browser.noted < world.hops[browser.question] and world.asked[browser.question, browser.noted] == relation


@compiled
def _row(world, browser, row, subject, relation, target):
    """Fill a row with a fact, any part of which may be missing (-1)."""
    row[PRESENT] = 1.0
    middle = focus(world, browser)
    if subject >= 0:
        row[SUBJECT_IN_FOCUS] = similarity(world, subject, middle)
        for place in range(CODE):
            row[SUBJECT + place] = _UNIT * world.code[subject, place]
    if relation >= 0:
        row[NEXT] = is_next(world, browser, relation)
        row[RELATION + relation] = 1.0
    if target >= 0:
        row[OBJECT_IN_FOCUS] = similarity(world, target, middle)
        for place in range(CODE):
            row[OBJECT + place] = _UNIT * world.code[target, place]


@compiled
def look(worlds, browsers, limit, heights, rows):
    """Fill ``rows`` [N, 31, 51]. After the last answer there is nothing left to see, and all is 0.

    ``heights`` says whether the bars of an open figure have their heights, or the colours that its legend gives them.
    """
    rows[:] = 0.0
    for at in range(len(worlds)):
        world, browser, seen = worlds[at], browsers[at], rows[at]
        question = browser.question
        if question == world.questions:
            continue
        _row(world, browser, seen[QUESTION], np.int64(world.chain[question, 0]), ABSENT, ABSENT)
        seen[QUESTION, QUESTION_NUMBER] = question / QUESTIONS
        seen[QUESTION, QUESTIONS_IN_ALL] = world.questions / QUESTIONS
        seen[QUESTION, HOPS_IN_ALL] = world.hops[question] / HOPS
        for hop in range(world.hops[question]):
            _row(world, browser, seen[HOP + hop], ABSENT, np.int64(world.asked[question, hop]), ABSENT)
            seen[HOP + hop, HOP_NUMBER] = hop / HOPS
        for result in range(RESULTS):
            if browser.results[result] >= 0:
                _row(world, browser, seen[RESULT + result], np.int64(browser.results[result]), ABSENT, ABSENT)
        if browser.document >= 0:
            _page(world, browser, heights, seen)
        for note in range(browser.noted):
            subject, relation, target = browser.notes[note]
            _row(world, browser, seen[NOTE + note], np.int64(subject), np.int64(relation), np.int64(target))
            seen[NOTE + note, LAST] = note == browser.noted - 1
        seen[MISC, PRESENT] = 1.0
        seen[MISC, TIME] = browser.steps / limit
        seen[MISC, ROOM] = browser.noted / NOTES
        seen[MISC, WAY_BACK] = browser.visited > 0


@compiled
def _page(world, browser, heights, seen):
    document, page = browser.document, browser.page
    here = has_figure(world, browser)
    _row(world, browser, seen[DOCUMENT], document, ABSENT, ABSENT)
    seen[DOCUMENT, PAGE_NUMBER] = page / PAGES
    seen[DOCUMENT, PAGES_IN_ALL] = world.pages / PAGES
    seen[DOCUMENT, FIGURE_HERE] = here
    seen[DOCUMENT, FIGURE_OPEN] = browser.viewed
    for line in range(LINES):
        subject = np.int64(world.subject[document, page, line])
        if subject < 0:
            continue
        target, row = np.int64(world.object[document, page, line]), seen[LINE + line]
        _row(world, browser, row, subject, np.int64(world.relation[document, page, line]), target)
        row[ALIVE] = world.alive[document, page, line]
        if target < 0:
            row[ASKS + world.figure_rule[document]] = 1.0
    if here:
        for bar in range(world.bars):
            row, shown = seen[BAR + bar], np.int64(world.bar_entity[document, bar])
            _row(world, browser, row, document, np.int64(world.figure_relation[document]), shown)
            row[ASKS + world.figure_rule[document]] = 1.0
            if heights:
                row[SEEN] = browser.viewed
                row[HEIGHT] = world.bar_height[document, bar] * browser.viewed
            else:
                row[COLOUR + world.bar_colour[document, bar]] = 1.0

"""What the browser shows, as rows of numbers.

A row has 11 flags, the relation it is about (one-hot, 8), and the codes of its subject and its object (16 each).
"""

from __future__ import annotations

import numpy as np

from framework_research.browser.state import NOTES, RESULTS, entity_in_focus, page_has_figure
from framework_research.compiled import compiled
from framework_research.worlds.world import BARS, CODE, HOPS, LINES, PAGES, QUESTIONS, RELATIONS

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
HEIGHT, HEIGHT_KNOWN = 7, 8  # of a bar where rows tell heights
COLOUR = 7  # of a bar where they do not: the first of four, one-hot
LAST = 7
TIME, ROOM, WAY_BACK = 7, 8, 9
_FLAGS = 11
RELATION = _FLAGS
SUBJECT = RELATION + RELATIONS
OBJECT = SUBJECT + CODE
FEATURES = OBJECT + CODE
#: A part of a fact that is missing; typed, as each literal would be compiled for on its own.
ABSENT = np.int64(-1)
#: Makes codes of length 1 in rows, where they would otherwise drown the flags.
_UNIT = np.float32(CODE**-0.5)


@compiled
def code_similarity(world, first, second):
    """Of two entities' codes, from -1 to 1; only those of the same entity have 1."""
    total = np.float32(0.0)
    for place in range(CODE):
        total += world.code[first, place] * world.code[second, place]
    return total / np.float32(CODE)


@compiled
def is_asked_next(world, browser, relation):
    """Whether it is the relation of the first hop that has no note yet, as many notes as there are."""
    return browser.noted < world.hops[browser.question] and world.asked[browser.question, browser.noted] == relation


@compiled
def _fill_row(world, browser, row, subject, relation, target):
    """Fill a row with a fact, any part of which may be missing (-1)."""
    row[PRESENT] = 1.0
    focus = entity_in_focus(world, browser)
    if subject >= 0:
        row[SUBJECT_IN_FOCUS] = code_similarity(world, subject, focus)
        for place in range(CODE):
            row[SUBJECT + place] = _UNIT * world.code[subject, place]
    if relation >= 0:
        row[NEXT] = is_asked_next(world, browser, relation)
        row[RELATION + relation] = 1.0
    if target >= 0:
        row[OBJECT_IN_FOCUS] = code_similarity(world, target, focus)
        for place in range(CODE):
            row[OBJECT + place] = _UNIT * world.code[target, place]


@compiled
def fill_rows(worlds, browsers, limit, heights, rows):
    """Fill ``rows`` [N, 31, 51]. After the last answer there is nothing left to see, and all is 0.

    ``heights`` says whether the bars of an open figure have their heights, or the colours that its legend gives them.
    """
    rows[:] = 0.0
    for at in range(len(worlds)):
        world, browser, page_rows = worlds[at], browsers[at], rows[at]
        question = browser.question
        if question == world.questions:
            continue
        _fill_row(world, browser, page_rows[QUESTION], np.int64(world.chain[question, 0]), ABSENT, ABSENT)
        page_rows[QUESTION, QUESTION_NUMBER] = question / QUESTIONS
        page_rows[QUESTION, QUESTIONS_IN_ALL] = world.questions / QUESTIONS
        page_rows[QUESTION, HOPS_IN_ALL] = world.hops[question] / HOPS
        for hop in range(world.hops[question]):
            _fill_row(world, browser, page_rows[HOP + hop], ABSENT, np.int64(world.asked[question, hop]), ABSENT)
            page_rows[HOP + hop, HOP_NUMBER] = hop / HOPS
        for result in range(RESULTS):
            if browser.results[result] >= 0:
                _fill_row(world, browser, page_rows[RESULT + result], np.int64(browser.results[result]), ABSENT, ABSENT)
        if browser.document >= 0:
            _fill_page_rows(world, browser, heights, page_rows)
        for note in range(browser.noted):
            subject, relation, target = browser.notes[note]
            _fill_row(world, browser, page_rows[NOTE + note], np.int64(subject), np.int64(relation), np.int64(target))
            page_rows[NOTE + note, LAST] = note == browser.noted - 1
        page_rows[MISC, PRESENT] = 1.0
        page_rows[MISC, TIME] = browser.steps / limit
        page_rows[MISC, ROOM] = browser.noted / NOTES
        page_rows[MISC, WAY_BACK] = browser.visited > 0


@compiled
def _fill_page_rows(world, browser, heights, page_rows):
    document, page = browser.document, browser.page
    with_figure = page_has_figure(world, browser)
    _fill_row(world, browser, page_rows[DOCUMENT], document, ABSENT, ABSENT)
    page_rows[DOCUMENT, PAGE_NUMBER] = page / PAGES
    page_rows[DOCUMENT, PAGES_IN_ALL] = world.pages / PAGES
    page_rows[DOCUMENT, FIGURE_HERE] = with_figure
    page_rows[DOCUMENT, FIGURE_OPEN] = browser.viewed
    for line in range(LINES):
        subject = np.int64(world.subject[document, page, line])
        if subject < 0:
            continue
        target, row = np.int64(world.object[document, page, line]), page_rows[LINE + line]
        _fill_row(world, browser, row, subject, np.int64(world.relation[document, page, line]), target)
        row[ALIVE] = world.alive[document, page, line]
        if target < 0:
            row[ASKS + world.figure_rule[document]] = 1.0
    if with_figure:
        for bar in range(world.bars):
            row, entity = page_rows[BAR + bar], np.int64(world.bar_entity[document, bar])
            _fill_row(world, browser, row, document, np.int64(world.figure_relation[document]), entity)
            row[ASKS + world.figure_rule[document]] = 1.0
            if heights:
                row[HEIGHT_KNOWN] = browser.viewed
                row[HEIGHT] = world.bar_height[document, bar] * browser.viewed
            else:
                row[COLOUR + world.bar_colour[document, bar]] = 1.0

"""What the browser shows, as words: ids of one vocabulary, whatever the corpus.

Each row of `framework_research.observe.view` is 8 words: a marker, the relation, and three words each of the subject's
name and the object's. A marker tells what is highlighted and the row's state, which is what else there is to say about
it; of the height of a bar there is no word. Where there is no row, its 8 words are 0.
"""

from __future__ import annotations

import numpy as np

from framework_research.browser.state import NOTES, RESULTS, entity_in_focus, page_has_figure
from framework_research.compiled import compiled
from framework_research.observe.view import (
    ABSENT,
    BAR,
    DOCUMENT,
    HOP,
    LINE,
    MISC,
    NOTE,
    QUESTION,
    RESULT,
    TOKENS,
    code_similarity,
    is_asked_next,
)
from framework_research.worlds.world import BARS, HOPS, LINES, PAGES, RELATIONS, SYLLABLES

WORDS = 2 + 2 * SYLLABLES  #: of a row
LENGTH = TOKENS * WORDS
_SUBJECT = 2
_OBJECT = _SUBJECT + SYLLABLES

#: How the subject or the object of a row is highlighted, by its likeness to who is looked for.
DIFFERENT, ALIKE, SAME = range(3)
_LIKENESSES = 3
#: Entities are alike whose codes are closer than this, as those of twins are.
_ALIKE = 0.5

#: States of a document's page are these, page after page.
NO_FIGURE, FIGURE_HERE, FIGURE_OPEN = range(3)
_FIGURE_STATES = 3
#: States of a line; where it stands for a figure, the state is ``ASKED`` and what the figure asks for.
DEAD, ALIVE, ASKED = range(3)
#: The state of a bar is its colour, and ``BARS`` times what its figure asks for.
_RULES = 3
#: The state of the last row: a quarter of the time, and ``WAY_BACK`` where there is one.
_QUARTERS = 4
WAY_BACK = _QUARTERS
STATES = max(PAGES * _FIGURE_STATES, BARS * _RULES)

#: First id of each kind. Those of relations and of names start with the id of none, so what is -1 is one less.
MARKER = 1
RELATION = MARKER + _LIKENESSES * _LIKENESSES * 2 * STATES + 1
NAME = RELATION + RELATIONS + 1
#: As many as words of names there are room for: syllables of made-up names, or whole names of countries.
NAMES = 256
VOCABULARY = NAME + NAMES

#: The kind of each row, from 1 on.
_KINDS = np.repeat(np.arange(1, 9, dtype=np.int16), (1, HOPS, RESULTS, 1, LINES, BARS, NOTES, 1))
KINDS = len(set(_KINDS.tolist())) + 1  #: with 0, where there is no row


@compiled
def marker_id(subject, target, asked_next, state):
    """The id of a marker: likenesses of subject and object, whether the relation is asked next, and the state."""
    return MARKER + ((subject * _LIKENESSES + target) * 2 + asked_next) * STATES + state


@compiled
def _likeness(world, entity, focus):
    if entity == focus:
        return SAME
    return ALIKE if entity >= 0 and code_similarity(world, entity, focus) > _ALIKE else DIFFERENT


@compiled
def _write_name(world, entity, words, first):
    for place in range(SYLLABLES):
        words[first + place] = NAME + (world.name[entity, place] if entity >= 0 else -1)


@compiled
def _write_row(world, browser, tokens, types, row, subject, relation, target, state):
    """Put a row into words, any part of which may be missing (-1)."""
    words, focus = tokens[row * WORDS : (row + 1) * WORDS], entity_in_focus(world, browser)
    asked_next = relation >= 0 and is_asked_next(world, browser, relation)
    words[0] = marker_id(_likeness(world, subject, focus), _likeness(world, target, focus), asked_next, state)
    words[1] = RELATION + relation
    _write_name(world, subject, words, _SUBJECT)
    _write_name(world, target, words, _OBJECT)
    types[row * WORDS : (row + 1) * WORDS] = _KINDS[row]


@compiled
def fill_words(worlds, browsers, limit, tokens, types):
    """Fill ``tokens`` and ``types`` [N, 248] int16: the words, and the kind of the row that each is of.

    After the last answer there is nothing left to say, and all is 0.
    """
    tokens[:] = 0
    types[:] = 0
    for at in range(len(worlds)):
        world, browser, page_tokens, page_types = worlds[at], browsers[at], tokens[at], types[at]
        question = browser.question
        if question == world.questions:
            continue
        start, to_come = np.int64(world.chain[question, 0]), world.questions - question - 1
        _write_row(world, browser, page_tokens, page_types, QUESTION, start, ABSENT, ABSENT, to_come)
        for hop in range(world.hops[question]):
            asked = np.int64(world.asked[question, hop])
            _write_row(world, browser, page_tokens, page_types, HOP + hop, ABSENT, asked, ABSENT, np.int64(0))
        for result in range(RESULTS):
            entity = np.int64(browser.results[result])
            if entity >= 0:
                _write_row(
                    world, browser, page_tokens, page_types, RESULT + result, entity, ABSENT, ABSENT, np.int64(0)
                )
        if browser.document >= 0:
            _write_page(world, browser, page_tokens, page_types)
        for note in range(browser.noted):
            subject, relation, target = browser.notes[note]
            fact = np.int64(subject), np.int64(relation), np.int64(target)
            _write_row(world, browser, page_tokens, page_types, NOTE + note, *fact, np.int64(note == browser.noted - 1))
        quarter = min(_QUARTERS * browser.steps // limit, _QUARTERS - 1)
        state = quarter + WAY_BACK * (browser.visited > 0)
        _write_row(world, browser, page_tokens, page_types, MISC, ABSENT, ABSENT, ABSENT, state)


@compiled
def _write_page(world, browser, tokens, types):
    document, page = browser.document, browser.page
    with_figure = page_has_figure(world, browser)
    figure = NO_FIGURE if not with_figure else FIGURE_OPEN if browser.viewed else FIGURE_HERE
    _write_row(world, browser, tokens, types, DOCUMENT, document, ABSENT, ABSENT, page * _FIGURE_STATES + figure)
    for line in range(LINES):
        subject, target = np.int64(world.subject[document, page, line]), np.int64(world.object[document, page, line])
        if subject < 0:
            continue
        if target < 0:
            state = ASKED + np.int64(world.figure_rule[document])
        else:
            state = ALIVE if world.alive[document, page, line] else DEAD
        relation = np.int64(world.relation[document, page, line])
        _write_row(world, browser, tokens, types, LINE + line, subject, relation, target, state)
    if with_figure:
        relation = np.int64(world.figure_relation[document])
        for bar in range(world.bars):
            state = np.int64(world.bar_colour[document, bar]) + BARS * np.int64(world.figure_rule[document])
            entity = np.int64(world.bar_entity[document, bar])
            _write_row(world, browser, tokens, types, BAR + bar, document, relation, entity, state)

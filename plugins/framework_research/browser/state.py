"""One research browser as a record: what is searched, open and noted, and what follows from it."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.worlds.world import LINES

RESULTS, NOTES = 5, 8
HISTORY = 16  #: pages that one can go back to

BROWSER = np.dtype(
    [
        ("question", np.int64),  # the one to be answered
        ("searched", np.int64),  # who the results are of; -1 for nobody
        ("results", np.int8, (RESULTS,)),  # -1 for none
        ("document", np.int64),  # -1 for none
        ("page", np.int64),
        ("viewed", np.int64),  # 1 while the page's figure is open
        ("history", np.int8, (HISTORY, 2)),  # documents and pages, the newest last
        ("visited", np.int64),  # how many of them
        ("notes", np.int8, (NOTES, 3)),  # facts
        ("noted", np.int64),  # how many of them
        ("kept", np.int64),  # pieces of evidence in the notes of questions that were answered
        ("succeeded", np.int64),  # questions
        ("steps", np.int64),
        ("illegal", np.int64),  # actions that were, so far
    ],
    align=True,
)


@compiled
def reset_browser(browser):
    """Nothing searched, opened or noted."""
    browser.question, browser.searched = 0, -1
    browser.results[:] = -1
    browser.document, browser.page, browser.viewed = -1, 0, 0
    browser.visited, browser.noted, browser.kept, browser.succeeded = 0, 0, 0, 0
    browser.notes[:] = -1
    browser.steps, browser.illegal = 0, 0


@compiled
def entity_in_focus(world, browser):
    """Who is looked for now: the object of the last note, or who the question starts with."""
    if browser.noted:
        return np.int64(browser.notes[browser.noted - 1, 2])
    return np.int64(world.chain[browser.question, 0])


@compiled
def page_has_figure(world, browser):
    """Whether there is a figure on the open page."""
    return browser.document >= 0 and world.figure_page[browser.document] == browser.page


@compiled
def has_note(browser, subject, relation, target):
    """Whether a fact is noted."""
    for note in range(browser.noted):
        row = browser.notes[note]
        if row[0] == subject and row[1] == relation and row[2] == target:
            return True
    return False


@compiled
def page_about_hop(world, browser, hop):
    """The next page, from the one behind this on and round, with a line about a hop's relation; -1 for none."""
    relation = world.asked[browser.question, hop]
    for step in range(1, world.pages):
        page = (browser.page + step) % world.pages
        for line in range(LINES):
            if world.relation[browser.document, page, line] == relation:
                return page
    return -1

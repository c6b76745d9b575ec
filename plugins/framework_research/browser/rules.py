"""What each action does: one research browser as a record, and the rules that move it.

All of it is compiled and works on one record after the other, so that an environment alone and hundreds side by side
go through the same code.
"""

from __future__ import annotations

import numpy as np

from framework_research.worlds.chance import compiled, mixed
from framework_research.worlds.world import BARS, HOPS, LINES, NOTES, RESULTS

#: First action of each kind, and how many actions there are. A kind with several has one for each row it is about.
SEARCH_QUESTION = 0
SEARCH_NOTE = 1
OPEN = SEARCH_NOTE + NOTES
FOLLOW = OPEN + RESULTS
PAGE_DOWN = FOLLOW + LINES
PAGE_UP = PAGE_DOWN + 1
BACK = PAGE_UP + 1
VIEW_FIGURE = BACK + 1
FIND = VIEW_FIGURE + 1
NOTE = FIND + HOPS
NOTE_BAR = NOTE + LINES
ANSWER = NOTE_BAR + BARS
DROP = ANSWER + NOTES
ACTIONS = DROP + NOTES

_HISTORY = 16
STEP_COST, ILLEGAL_COST = 0.001, 0.01
#: An answer that fails costs so much and earns so much of its recall where it is right; one that succeeds earns 1.
_FAILED, _RIGHT = 0.1, 0.25
#: Of the notes at least so many quarters must be evidence.
_QUARTERS = 3
_SHAPING = 0.5

BROWSER = np.dtype(
    [
        ("question", np.int64),  # the one to be answered
        ("searched", np.int64),  # who the results are of; -1 for nobody
        ("results", np.int8, (RESULTS,)),  # -1 for none
        ("document", np.int64),  # -1 for none
        ("page", np.int64),
        ("viewed", np.int64),  # 1 while the page's figure is open
        ("history", np.int8, (_HISTORY, 2)),  # documents and pages, the newest last
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
def begin(browser):
    """Nothing searched, opened or noted."""
    browser.question, browser.searched = 0, -1
    browser.results[:] = -1
    browser.document, browser.page, browser.viewed = -1, 0, 0
    browser.visited, browser.noted, browser.kept, browser.succeeded = 0, 0, 0, 0
    browser.notes[:] = -1
    browser.steps, browser.illegal = 0, 0


@compiled
def focus(world, browser):
    """Who is looked for now: the object of the last note, or who the question starts with."""
    if browser.noted:
        return np.int64(browser.notes[browser.noted - 1, 2])
    return np.int64(world.chain[browser.question, 0])


@compiled
def has_figure(world, browser):
    """Whether there is a figure on the open page."""
    return browser.document >= 0 and world.figure_page[browser.document] == browser.page


@compiled
def _has_note(browser, subject, relation, target):
    for note in range(browser.noted):
        row = browser.notes[note]
        if row[0] == subject and row[1] == relation and row[2] == target:
            return True
    return False


@compiled
def page_with(world, browser, hop):
    """The next page, from the one behind this on and round, with a line about a hop's relation; -1 for none."""
    relation = world.asked[browser.question, hop]
    for step in range(1, world.pages):
        page = (browser.page + step) % world.pages
        for line in range(LINES):
            if world.relation[browser.document, page, line] == relation:
                return page
    return -1


@compiled
def legal(world, browser, mask):
    """Write down which actions [55] are legal: those that change something.

    So neither what was searched last nor the page that is open comes again: policies without memory would be caught.
    """
    document, page, noted = browser.document, browser.page, browser.noted
    opened = document if page == 0 else -1
    mask[:] = False
    mask[SEARCH_QUESTION] = browser.searched != world.chain[browser.question, 0]
    for note in range(noted):
        mask[SEARCH_NOTE + note] = browser.searched != browser.notes[note, 2]
        mask[ANSWER + note] = True
        mask[DROP + note] = True
    for result in range(RESULTS):
        mask[OPEN + result] = browser.results[result] >= 0 and browser.results[result] != opened
    mask[BACK] = browser.visited > 0
    if document < 0:
        return
    mask[PAGE_DOWN] = page + 1 < world.pages
    mask[PAGE_UP] = page > 0
    for hop in range(world.hops[browser.question]):
        mask[FIND + hop] = page_with(world, browser, hop) >= 0
    room = noted < NOTES
    for line in range(LINES):
        target = world.object[document, page, line]
        if target >= 0:
            mask[FOLLOW + line] = world.alive[document, page, line] == 1 and target != opened
            subject, relation = world.subject[document, page, line], world.relation[document, page, line]
            mask[NOTE + line] = room and not _has_note(browser, subject, relation, target)
    if has_figure(world, browser):
        mask[VIEW_FIGURE] = browser.viewed == 0
        if browser.viewed and room:
            relation = world.figure_relation[document]
            for bar in range(world.bars):
                target = world.bar_entity[document, bar]
                mask[NOTE_BAR + bar] = not _has_note(browser, document, relation, target)


@compiled
def search(world, browser, entity):
    """Five results in an order that follows from who is looked for: their document, their twin's, and others."""
    chance = mixed(world.seed + np.uint64(entity + 1))
    count = min(RESULTS, world.entities)
    browser.searched = entity
    browser.results[:] = -1
    browser.results[0] = entity
    found = 1
    if world.twin[entity] >= 0:
        browser.results[1] = world.twin[entity]
        found = 2
    while found < count:
        chance = mixed(chance)
        other = np.int64(chance % np.uint64(world.entities))
        known = False
        for result in range(found):
            known |= browser.results[result] == other
        if not known:
            browser.results[found] = other
            found += 1
    for last in range(count - 1, 0, -1):
        chance = mixed(chance)
        other = np.int64(chance % np.uint64(last + 1))
        browser.results[last], browser.results[other] = browser.results[other], browser.results[last]


@compiled
def _go(browser, document, page):
    """Show a page, and remember the one before."""
    if browser.document >= 0:
        if browser.visited == _HISTORY:
            for place in range(1, _HISTORY):
                browser.history[place - 1, 0] = browser.history[place, 0]
                browser.history[place - 1, 1] = browser.history[place, 1]
            browser.visited -= 1
        browser.history[browser.visited, 0] = browser.document
        browser.history[browser.visited, 1] = browser.page
        browser.visited += 1
    browser.document, browser.page, browser.viewed = document, page, 0


@compiled
def _note(browser, subject, relation, target):
    browser.notes[browser.noted, 0] = subject
    browser.notes[browser.noted, 1] = relation
    browser.notes[browser.noted, 2] = target
    browser.noted += 1


@compiled
def _drop(browser, note):
    for place in range(note, browser.noted - 1):
        for part in range(3):
            browser.notes[place, part] = browser.notes[place + 1, part]
    browser.noted -= 1
    for part in range(3):
        browser.notes[browser.noted, part] = -1


@compiled
def evidence(world, browser):
    """How many of the facts that the question is made of are noted."""
    question, count = browser.question, 0
    for hop in range(world.hops[question]):
        subject, target = world.chain[question, hop], world.chain[question, hop + 1]
        count += _has_note(browser, subject, world.asked[question, hop], target)
    return count


@compiled
def potential(world, browser):
    """Share of all required evidence that is noted, or was when its question was answered; 0 after the last answer."""
    if browser.question == world.questions:
        return 0.0
    total = 0
    for question in range(world.questions):
        total += world.hops[question]
    return (browser.kept + evidence(world, browser)) / total


@compiled
def _answer(world, browser, note):
    """Answer with a note's object; gives the reward but for the number of questions."""
    question = browser.question
    hops, found = world.hops[question], evidence(world, browser)
    right = browser.notes[note, 2] == world.chain[question, hops]
    succeeded = right and found == hops and 4 * found >= _QUARTERS * browser.noted
    browser.succeeded += succeeded
    browser.kept += found
    browser.question += 1
    browser.noted = 0
    browser.notes[:] = -1
    if succeeded:
        return 1.0
    return (_RIGHT * found / hops if right else 0.0) - _FAILED


@compiled
def _turn(world, browser, action):
    """Turn to another page of the open document, or go back."""
    browser.viewed = 0
    if action == PAGE_DOWN:
        browser.page += 1
    elif action == PAGE_UP:
        browser.page -= 1
    elif action == BACK:
        browser.visited -= 1
        browser.document = browser.history[browser.visited, 0]
        browser.page = browser.history[browser.visited, 1]
    else:
        browser.page = page_with(world, browser, action - FIND)


@compiled
def _write(world, browser, action):
    """Note a line, or a bar of the open figure."""
    document, page = browser.document, browser.page
    if action < NOTE_BAR:
        at = document, page, action - NOTE
        _note(browser, world.subject[at], world.relation[at], world.object[at])
    else:
        _note(browser, document, world.figure_relation[document], world.bar_entity[document, action - NOTE_BAR])


@compiled
def act(world, browser, action):
    """Take one action, which must be legal; gives the reward but for the cost of the step."""
    if action < OPEN:
        wanted = browser.notes[action - SEARCH_NOTE, 2] if action else world.chain[browser.question, 0]
        search(world, browser, np.int64(wanted))
    elif action < FOLLOW:
        _go(browser, np.int64(browser.results[action - OPEN]), 0)
    elif action < PAGE_DOWN:
        _go(browser, np.int64(world.object[browser.document, browser.page, action - FOLLOW]), 0)
    elif action == VIEW_FIGURE:
        browser.viewed = 1
    elif action < NOTE:
        _turn(world, browser, action)
    elif action < ANSWER:
        _write(world, browser, action)
    elif action < DROP:
        return _answer(world, browser, action - ANSWER) / world.questions
    else:
        _drop(browser, action - DROP)
    return 0.0


@compiled
def step(worlds, browsers, actions, masks, gamma, dense, limit, rewards, terminated, truncated):
    """One action in each environment; ``masks`` [N, 55] holds what was legal, and then what is.

    An illegal action does nothing and costs something. An episode ends with its last answer (``terminated`` [N]), or
    after ``limit`` steps (``truncated`` [N]); those that have ended stay as they are. Raises `ValueError` for an action
    that there is not.
    """
    for at in range(len(worlds)):
        world, browser, mask = worlds[at], browsers[at], masks[at]
        terminated[at] = browser.question == world.questions
        truncated[at] = not terminated[at] and browser.steps >= limit
        rewards[at] = 0.0
        if terminated[at] or truncated[at]:
            continue
        if not 0 <= actions[at] < ACTIONS:
            raise ValueError("actions of the research environment are numbers from 0 to 54")
        before = potential(world, browser) if dense else 0.0
        browser.steps += 1
        reward = -STEP_COST
        if mask[actions[at]]:
            reward += act(world, browser, actions[at])
        else:
            browser.illegal += 1
            reward -= ILLEGAL_COST
        if dense:
            reward += _SHAPING / world.questions * (gamma * potential(world, browser) - before)
        rewards[at] = reward
        terminated[at] = browser.question == world.questions
        if terminated[at]:
            mask[:] = True
        else:
            truncated[at] = browser.steps >= limit
            legal(world, browser, mask)

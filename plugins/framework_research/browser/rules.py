"""What each action does, and which are legal: the rules that move one browser, or many side by side.

All of it is compiled and works on one record after the other, so that an environment alone and hundreds side by side
go through the same code.
"""

from __future__ import annotations

import numpy as np

from framework_research.browser.actions import (
    ACTIONS,
    ANSWER,
    BACK,
    DROP,
    FIND,
    FOLLOW,
    NOTE,
    NOTE_BAR,
    OPEN,
    PAGE_DOWN,
    PAGE_UP,
    SEARCH_NOTE,
    SEARCH_QUESTION,
    VIEW_FIGURE,
)
from framework_research.browser.rewards import ILLEGAL_COST, SHAPING, STEP_COST, answer_question, potential
from framework_research.browser.state import HISTORY, NOTES, RESULTS, has_note, page_about_hop, page_has_figure
from framework_research.compiled import compiled
from framework_research.worlds.chance import mix64
from framework_research.worlds.world import LINES


@compiled
def fill_legal_mask(world, browser, mask):
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
        mask[FIND + hop] = page_about_hop(world, browser, hop) >= 0
    room = noted < NOTES
    for line in range(LINES):
        target = world.object[document, page, line]
        if target >= 0:
            mask[FOLLOW + line] = world.alive[document, page, line] == 1 and target != opened
            subject, relation = world.subject[document, page, line], world.relation[document, page, line]
            mask[NOTE + line] = room and not has_note(browser, subject, relation, target)
    if page_has_figure(world, browser):
        mask[VIEW_FIGURE] = browser.viewed == 0
        if browser.viewed and room:
            relation = world.figure_relation[document]
            for bar in range(world.bars):
                target = world.bar_entity[document, bar]
                mask[NOTE_BAR + bar] = not has_note(browser, document, relation, target)


@compiled
def search(world, browser, entity):
    """Five results in an order that follows from who is looked for: their document, their twin's, and others."""
    state = mix64(world.seed + np.uint64(entity + 1))
    count = min(RESULTS, world.entities)
    browser.searched = entity
    browser.results[:] = -1
    browser.results[0] = entity
    filled = 1
    if world.twin[entity] >= 0:
        browser.results[1] = world.twin[entity]
        filled = 2
    while filled < count:
        state = mix64(state)
        candidate = np.int64(state % np.uint64(world.entities))
        listed = False
        for result in range(filled):
            listed |= browser.results[result] == candidate
        if not listed:
            browser.results[filled] = candidate
            filled += 1
    for last in range(count - 1, 0, -1):
        state = mix64(state)
        swapped = np.int64(state % np.uint64(last + 1))
        browser.results[last], browser.results[swapped] = browser.results[swapped], browser.results[last]


@compiled
def _open_page(browser, document, page):
    """Show a page, and remember the one before."""
    if browser.document >= 0:
        if browser.visited == HISTORY:
            for place in range(1, HISTORY):
                browser.history[place - 1, 0] = browser.history[place, 0]
                browser.history[place - 1, 1] = browser.history[place, 1]
            browser.visited -= 1
        browser.history[browser.visited, 0] = browser.document
        browser.history[browser.visited, 1] = browser.page
        browser.visited += 1
    browser.document, browser.page, browser.viewed = document, page, 0


@compiled
def _add_note(browser, subject, relation, target):
    browser.notes[browser.noted, 0] = subject
    browser.notes[browser.noted, 1] = relation
    browser.notes[browser.noted, 2] = target
    browser.noted += 1


@compiled
def _drop_note(browser, note):
    for place in range(note, browser.noted - 1):
        for part in range(3):
            browser.notes[place, part] = browser.notes[place + 1, part]
    browser.noted -= 1
    for part in range(3):
        browser.notes[browser.noted, part] = -1


@compiled
def _turn_page(world, browser, action):
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
        browser.page = page_about_hop(world, browser, action - FIND)


@compiled
def _note_fact(world, browser, action):
    """Note a line, or a bar of the open figure."""
    document, page = browser.document, browser.page
    if action < NOTE_BAR:
        at = document, page, action - NOTE
        _add_note(browser, world.subject[at], world.relation[at], world.object[at])
    else:
        _add_note(browser, document, world.figure_relation[document], world.bar_entity[document, action - NOTE_BAR])


@compiled
def apply_action(world, browser, action):
    """Take one action, which must be legal; gives the reward but for the cost of the step."""
    if action < OPEN:
        entity = browser.notes[action - SEARCH_NOTE, 2] if action else world.chain[browser.question, 0]
        search(world, browser, np.int64(entity))
    elif action < FOLLOW:
        _open_page(browser, np.int64(browser.results[action - OPEN]), 0)
    elif action < PAGE_DOWN:
        _open_page(browser, np.int64(world.object[browser.document, browser.page, action - FOLLOW]), 0)
    elif action == VIEW_FIGURE:
        browser.viewed = 1
    elif action < NOTE:
        _turn_page(world, browser, action)
    elif action < ANSWER:
        _note_fact(world, browser, action)
    elif action < DROP:
        return answer_question(world, browser, action - ANSWER) / world.questions
    else:
        _drop_note(browser, action - DROP)
    return 0.0


@compiled
def step_browsers(worlds, browsers, actions, masks, gamma, dense, limit, rewards, terminated, truncated):
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
            reward += apply_action(world, browser, actions[at])
        else:
            browser.illegal += 1
            reward -= ILLEGAL_COST
        if dense:
            reward += SHAPING / world.questions * (gamma * potential(world, browser) - before)
        rewards[at] = reward
        terminated[at] = browser.question == world.questions
        if terminated[at]:
            mask[:] = True
        else:
            truncated[at] = browser.steps >= limit
            fill_legal_mask(world, browser, mask)

"""The fewest actions that succeed in a world, for whoever knows all of it: a breadth-first search.

Evidence is noted as soon as it is on the open page, in whichever document that is: each piece is noted once, and what
is noted can be searched for. So a path is a way from page to page. It notes nothing but evidence, drops nothing, and
does not go back to the page before.
"""

from __future__ import annotations

import numpy as np

from framework_research.browser import actions
from framework_research.browser.rules import apply_action, search
from framework_research.browser.state import BROWSER, RESULTS, page_about_hop, reset_browser
from framework_research.compiled import compiled
from framework_research.worlds.world import HOPS, LINES

#: A search in a path is this and who it is for: which note that is shows when the notes are made.
_SEARCH = actions.ACTIONS
#: Parts of a state. The place is 0 for no page, what is shown 0 for no results.
_QUESTION, _NOTED, _PLACE, _SHOWN, _OPENED, _MOVE = range(6)
#: More moves than any state has.
_MOVES = 2 * HOPS + RESULTS + LINES + 5


def shortest_episode(world: np.void) -> np.ndarray:
    """The actions [steps] of a shortest episode that succeeds."""
    browser = np.zeros(1, BROWSER)[0]
    reset_browser(browser)
    episode: list[int] = []
    for move in _shortest_moves(world):
        action: int | None = _action_of_move(world, browser, int(move))
        while action is not None:
            apply_action(world, browser, action)
            episode.append(action)
            action = _action_that_notes(world, browser)
    return np.array(episode)


def _action_of_move(world: np.void, browser: np.void, move: int) -> int:
    """The action that a move is, now that it is known which notes there are."""
    objects = browser["notes"][: browser["noted"], 2].tolist()
    chain = world["chain"][browser["question"]]
    if move == actions.ANSWER:
        return actions.ANSWER + objects.index(chain[world["hops"][browser["question"]]])
    if move < _SEARCH:
        return move
    return (
        actions.SEARCH_QUESTION if move - _SEARCH == chain[0] else actions.SEARCH_NOTE + objects.index(move - _SEARCH)
    )


def _action_that_notes(world: np.void, browser: np.void) -> int | None:
    """The action that notes a piece of evidence on the open page, if there is one that is not noted yet."""
    question, document, page = (int(browser[name]) for name in ("question", "document", "page"))
    if document < 0 or question == world["questions"]:
        return None
    lines = np.stack([world[part][document, page] for part in ("subject", "relation", "object")], 1).tolist()
    bars = world["bar_entity"][document].tolist() if browser["viewed"] else []
    shown = [[document, int(world["figure_relation"][document]), bar] for bar in bars]
    for hop in range(world["hops"][question]):
        subject, target = world["chain"][question, hop : hop + 2].tolist()
        fact = [subject, int(world["asked"][question, hop]), target]
        if fact in browser["notes"].tolist():
            continue
        if fact in lines:
            return actions.NOTE + lines.index(fact)
        if fact in shown:
            return actions.NOTE_BAR + shown.index(fact)
    return None


@compiled
def fewest_steps(world):
    """How many actions a shortest episode takes; raises `ValueError` for a world in which none succeed."""
    return len(_shortest_moves(world)) + world.hops.sum()


@compiled
def fill_efficiencies(worlds, browsers, wanted, efficiencies):
    """Fill ``efficiencies`` [N] where they are ``wanted`` [N]: the fewest steps by those it took; 0 where it failed."""
    for at in range(len(worlds)):
        if wanted[at]:
            efficiencies[at] = 0.0
            if browsers[at].succeeded == worlds[at].questions:
                fewest = fewest_steps(worlds[at])
                efficiencies[at] = fewest / max(fewest, browsers[at].steps)


@compiled
def _shortest_moves(world):
    """The moves of a shortest path, without its notes; states are visited in the order of their distance."""
    # Compiled code does not keep an array for the sake of its records: browsers is handed on whole.
    browsers = np.zeros(1, BROWSER)
    reset_browser(browsers[0])
    numbers, results = _search_results(world, browsers)
    in_lines, in_figures = _evidence_by_place(world)
    questions, places = in_lines.shape
    sizes = questions, 1 << world.hops.max(), places, len(results), 2
    visited = np.zeros(sizes, np.bool_)
    states = np.empty((visited.size, 6), np.uint8)  # each with the move that led there
    before = np.empty(visited.size, np.int32)
    states[0], before[0] = 0, -1
    filled, at = 1, 0
    successors = np.empty((_MOVES, 6), np.uint8)
    while at < filled:
        for number in range(_fill_successors(world, browsers, numbers, results, in_figures, states[at], successors)):
            state = successors[number]
            question, place, shown, opened = state[_QUESTION], state[_PLACE], state[_SHOWN], state[_OPENED]
            if question == questions:
                return _moves_to(states, before, at, state[_MOVE])
            state[_NOTED] |= in_lines[question, place] | opened * in_figures[question, place]
            if not visited[question, state[_NOTED], place, shown, opened]:
                visited[question, state[_NOTED], place, shown, opened] = True
                for part in range(len(state)):  # copying arrays takes seconds to compile
                    states[filled, part] = state[part]
                before[filled] = at
                filled += 1
        at += 1
    raise ValueError("no actions succeed in this world: some evidence stands nowhere")


@compiled
def _moves_to(states, before, at, last):
    """The moves that led to a state, and one more."""
    length, place = 1, at
    while before[place] >= 0:
        length, place = length + 1, before[place]
    path = np.empty(length, np.int64)
    path[length - 1] = last
    for step in range(length - 2, -1, -1):
        path[step], at = states[at, _MOVE], before[at]
    return path


@compiled
def _search_results(world, browsers):
    """The number, from 1 on, of each entity that may be searched for; what is found [numbers, 5]."""
    browser = browsers[0]
    numbers = np.zeros(world.entities, np.uint8)
    results = np.empty((world.entities + 1, RESULTS), np.int8)
    count = 1
    for question in range(world.questions):
        for hop in range(world.hops[question] + 1):
            entity = np.int64(world.chain[question, hop])
            if not numbers[entity]:
                search(world, browser, entity)
                numbers[entity] = count
                for result in range(RESULTS):
                    results[count, result] = browser.results[result]
                count += 1
    return numbers, results[:count]


@compiled
def _evidence_by_place(world):
    """The hops of each question, as bits, that each place states, and that its figure shows [questions, places]."""
    in_lines = np.zeros((world.questions, 1 + world.entities * world.pages), np.uint8)
    in_figures = np.zeros_like(in_lines)
    for question in range(world.questions):
        for hop in range(world.hops[question]):
            bit, relation = np.uint8(1 << hop), world.asked[question, hop]
            subject, target = world.chain[question, hop], world.chain[question, hop + 1]
            for document in range(world.entities):
                for page in range(world.pages):
                    for line in range(LINES):
                        if (
                            world.subject[document, page, line] == subject
                            and world.relation[document, page, line] == relation
                            and world.object[document, page, line] == target
                        ):
                            in_lines[question, _place_of(world, document, page)] |= bit
            if world.figure_page[subject] >= 0 and world.figure_relation[subject] == relation:
                in_figures[question, _place_of(world, subject, world.figure_page[subject])] |= bit
    return in_lines, in_figures


@compiled
def _place_of(world, document, page):
    return 1 + document * world.pages + page


@compiled
def _fill_successors(world, browsers, numbers, results, in_figures, state, successors):
    """Fill ``successors`` with the states that one move leads to, less what can be noted there; gives how many."""
    question, noted, place = np.int64(state[_QUESTION]), state[_NOTED], np.int64(state[_PLACE])
    if in_figures[question, place] & ~noted:
        _copy_with_change(successors[0], state, actions.VIEW_FIGURE, _OPENED, 1)
        return 1
    count = 0
    if noted == (1 << world.hops[question]) - 1:
        _copy_with_change(successors[0], state, actions.ANSWER, _QUESTION, question + 1)
        successors[0, _NOTED] = 0
        count = 1
    searched = state[_MOVE] >= _SEARCH  # what does not need its results comes before a search
    for hop in range(0 if searched else world.hops[question] + 1):
        if hop == 0 or noted >> (hop - 1) & 1:
            entity = world.chain[question, hop]
            _copy_with_change(successors[count], state, _SEARCH + entity, _SHOWN, numbers[entity])
            count += 1
    for result in range(RESULTS):
        entity = results[state[_SHOWN], result]
        if state[_SHOWN] and entity >= 0:
            count = _add_page_move(world, successors, count, state, actions.OPEN + result, entity, 0)
    if searched or not place:
        return count
    browser = browsers[0]
    browser.question, browser.document, browser.page = question, (place - 1) // world.pages, (place - 1) % world.pages
    return _add_moves_from_page(world, browser, state, successors, count)


@compiled
def _add_moves_from_page(world, browser, state, successors, count):
    """The same for moves from an open page to others."""
    document, page = browser.document, browser.page
    for line in range(LINES):
        entity = world.object[document, page, line]
        if entity >= 0 and world.alive[document, page, line]:
            count = _add_page_move(world, successors, count, state, actions.FOLLOW + line, entity, 0)
    if page + 1 < world.pages:
        count = _add_page_move(world, successors, count, state, actions.PAGE_DOWN, document, page + 1)
    if page:
        count = _add_page_move(world, successors, count, state, actions.PAGE_UP, document, page - 1)
    for hop in range(world.hops[browser.question]):
        next_page = page_about_hop(world, browser, hop)
        if next_page >= 0:
            count = _add_page_move(world, successors, count, state, actions.FIND + hop, document, next_page)
    return count


@compiled
def _add_page_move(world, successors, count, state, move, document, page):
    _copy_with_change(successors[count], state, move, _PLACE, _place_of(world, document, page))
    successors[count, _OPENED] = 0
    return count + 1


@compiled
def _copy_with_change(successor, state, move, part, value):
    """Another state: this one but for one part."""
    for copied in range(_MOVE):
        successor[copied] = state[copied]
    successor[part], successor[_MOVE] = value, move

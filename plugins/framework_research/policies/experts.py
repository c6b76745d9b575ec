"""Policies that were not learned: they act on the observation of mode "state" and on what is legal, like anyone.

Each is a function ``(rows [31, 51], mask [55], rng) -> action``. The experts raise `RunError` for observations of
another mode, where they can tell. Who knows the world, too, is in `framework_research.policies.oracle`.
"""

from __future__ import annotations

import numpy as np

from framework.errors import RunError
from framework_research.browser import actions
from framework_research.browser.state import RESULTS
from framework_research.observe import view
from framework_research.worlds.world import BARS, LINES, RELATIONS, SECOND, SHORTEST

_RELATION = slice(view.RELATION, view.RELATION + RELATIONS)
#: A similarity that only equal codes have.
_SAME = 0.99
_WANTED = 'experts act on observation_mode = "state"'


def random_legal(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Any legal action."""
    return int(rng.choice(np.flatnonzero(mask)))


def expert(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Follows the chain hop by hop and notes nothing else; reads figures."""
    return _follow_chain(rows, mask, rng, reads_figures=True)


def blind_expert(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
    """The same, but of a figure it notes any bar."""
    return _follow_chain(rows, mask, rng, reads_figures=False)


def _follow_chain(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, reads_figures: bool) -> int:
    if np.shape(rows) != (view.TOKENS, view.FEATURES):
        raise RunError(f"{_WANTED}, whose observations are rows [31, 51]")
    notes = int(rows[view.NOTE : view.MISC, view.PRESENT].sum())
    hops = int(rows[view.HOP : view.RESULT, view.PRESENT].sum())
    if notes == hops:
        return actions.ANSWER + notes - 1
    if rows[view.DOCUMENT, view.SUBJECT_IN_FOCUS] > _SAME:
        return _note_next_fact(rows, mask, notes, rng, reads_figures=reads_figures)
    return _approach(rows, mask, notes)


def _approach(rows: np.ndarray, mask: np.ndarray, notes: int) -> int:
    """One step towards the document of who is looked for: by a result, a link, or a search."""
    results = rows[view.RESULT : view.RESULT + RESULTS, view.SUBJECT_IN_FOCUS] > _SAME
    if results.any():
        return actions.OPEN + int(results.argmax())
    lines = rows[view.LINE : view.LINE + LINES, view.OBJECT_IN_FOCUS] > _SAME
    links = lines & mask[actions.FOLLOW : actions.FOLLOW + LINES]
    if links.any():
        return actions.FOLLOW + int(links.argmax())
    return actions.SEARCH_NOTE + notes - 1 if notes else actions.SEARCH_QUESTION


def _note_next_fact(
    rows: np.ndarray, mask: np.ndarray, notes: int, rng: np.random.Generator, *, reads_figures: bool
) -> int:
    """One step towards noting the next fact, in its subject's document."""
    lines = rows[view.LINE : view.LINE + LINES]
    asked = lines[:, _RELATION] @ rows[view.HOP + notes, _RELATION]
    about = (lines[:, view.SUBJECT_IN_FOCUS] > _SAME) & (asked > 0)
    if not about.any():
        if mask[actions.FIND + notes]:
            return actions.FIND + notes
        # Nothing of that kind is here: a bar that was noted before was the wrong one.
        return actions.ANSWER + notes - 1 if notes else random_legal(rows, mask, rng)
    line = int(about.argmax())
    rule = np.flatnonzero(lines[line, view.ASKS :][:3])
    if not len(rule):
        return actions.NOTE + line
    if mask[actions.VIEW_FIGURE]:
        return actions.VIEW_FIGURE
    return actions.NOTE_BAR + _choose_bar(rows, int(rule[0]), rng, reads_figures=reads_figures)


def _choose_bar(rows: np.ndarray, rule: int, rng: np.random.Generator, *, reads_figures: bool) -> int:
    """Which bar a figure is about."""
    bars = rows[view.BAR : view.BAR + BARS]
    present = np.flatnonzero(bars[:, view.PRESENT])
    if not reads_figures:
        return int(rng.choice(present))
    if not bars[present, view.HEIGHT_KNOWN].all():
        raise RunError(f"{_WANTED}: these rows tell no heights")
    order = present[np.argsort(-bars[present, view.HEIGHT])]
    return int(order[-1] if rule == SHORTEST else order[1] if rule == SECOND else order[0])

"""Policies that were not learned: they act on the observation of mode "state" and on what is legal, like anyone.

Each is a function ``(rows [31, 51], mask [55], rng) -> action``. `oracle` alone knows the world, too. The experts raise
`RunError` for observations of another mode, where they can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from framework.errors import RunError
from framework_research.browser import rules
from framework_research.browser.shortest import oracle as shortest
from framework_research.observe import view
from framework_research.worlds.world import BARS, LINES, RELATIONS, RESULTS, SECOND, SHORTEST

if TYPE_CHECKING:
    from framework_research.environment import ResearchEnv

_RELATION = slice(view.RELATION, view.RELATION + RELATIONS)
#: A similarity that only equal codes have.
_SAME = 0.99
_WANTED = 'experts act on observation_mode = "state"'


def random_legal(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Any legal action."""
    return int(rng.choice(np.flatnonzero(mask)))


def expert(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Follows the chain hop by hop and notes nothing else; reads figures."""
    return _research(rows, mask, rng, sees=True)


def blind_expert(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
    """The same, but of a figure it notes any bar."""
    return _research(rows, mask, rng, sees=False)


#: The oracle's actions for the episode that an environment is in.
_PLANS: WeakKeyDictionary[ResearchEnv, np.ndarray] = WeakKeyDictionary()


def oracle(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, environment: ResearchEnv) -> int:
    """The next action of a shortest episode that succeeds; for whoever acts from the episode's start on."""
    desks = environment.desks
    steps = int(desks.browsers["steps"][0])
    if steps == 0:
        _PLANS[environment] = shortest(desks.worlds[0])
    return int(_PLANS[environment][steps])


def _research(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, sees: bool) -> int:
    if np.shape(rows) != (view.TOKENS, view.FEATURES):
        raise RunError(f"{_WANTED}, whose observations are rows [31, 51]")
    notes = int(rows[view.NOTE : view.MISC, view.PRESENT].sum())
    hops = int(rows[view.HOP : view.RESULT, view.PRESENT].sum())
    if notes == hops:
        return rules.ANSWER + notes - 1
    if rows[view.DOCUMENT, view.SUBJECT_IN_FOCUS] > _SAME:
        return _read(rows, mask, notes, rng, sees=sees)
    return _approach(rows, mask, notes)


def _approach(rows: np.ndarray, mask: np.ndarray, notes: int) -> int:
    """One step towards the document of who is looked for: by a result, a link, or a search."""
    results = rows[view.RESULT : view.RESULT + RESULTS, view.SUBJECT_IN_FOCUS] > _SAME
    if results.any():
        return rules.OPEN + int(results.argmax())
    lines = rows[view.LINE : view.LINE + LINES, view.OBJECT_IN_FOCUS] > _SAME
    links = lines & mask[rules.FOLLOW : rules.FOLLOW + LINES]
    if links.any():
        return rules.FOLLOW + int(links.argmax())
    return rules.SEARCH_NOTE + notes - 1 if notes else rules.SEARCH_QUESTION


def _read(rows: np.ndarray, mask: np.ndarray, notes: int, rng: np.random.Generator, *, sees: bool) -> int:
    """One step towards noting the next fact, in its subject's document."""
    lines = rows[view.LINE : view.LINE + LINES]
    asked = lines[:, _RELATION] @ rows[view.HOP + notes, _RELATION]
    about = (lines[:, view.SUBJECT_IN_FOCUS] > _SAME) & (asked > 0)
    if not about.any():
        if mask[rules.FIND + notes]:
            return rules.FIND + notes
        # Nothing of that kind is here: a bar that was noted before was the wrong one.
        return rules.ANSWER + notes - 1 if notes else random_legal(rows, mask, rng)
    line = int(about.argmax())
    asked_bar = np.flatnonzero(lines[line, view.ASKS :][:3])
    if not len(asked_bar):
        return rules.NOTE + line
    if mask[rules.VIEW_FIGURE]:
        return rules.VIEW_FIGURE
    return rules.NOTE_BAR + _bar(rows, int(asked_bar[0]), rng, sees=sees)


def _bar(rows: np.ndarray, rule: int, rng: np.random.Generator, *, sees: bool) -> int:
    """Which bar a figure is about."""
    bars = rows[view.BAR : view.BAR + BARS]
    shown = np.flatnonzero(bars[:, view.PRESENT])
    if not sees:
        return int(rng.choice(shown))
    if not bars[shown, view.SEEN].all():
        raise RunError(f"{_WANTED}: these rows tell no heights")
    order = shown[np.argsort(-bars[shown, view.HEIGHT])]
    return int(order[-1] if rule == SHORTEST else order[1] if rule == SECOND else order[0])

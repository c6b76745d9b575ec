"""The 55 actions: the first number of each kind. A kind with several has one for each row it is about."""

from __future__ import annotations

from framework_research.browser.state import NOTES, RESULTS
from framework_research.worlds.world import BARS, HOPS, LINES

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
ACTIONS = DROP + NOTES  #: how many there are

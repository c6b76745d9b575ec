"""What a research world is: entities with a document each, and questions about them, as one record of fixed size.

Facts are triples (subject, relation, object). The first six relations are stated in lines of text; the last two are
shown in figures alone, where the object is one of the bars.
"""

from __future__ import annotations

import numpy as np

ENTITIES, PAGES, LINES, BARS = 64, 3, 6, 4
QUESTIONS, HOPS = 4, 5
RELATIONS, STATED = 8, 6
CODE, SYLLABLES = 16, 3

#: What a figure asks for: which bar its fact is about.
TALLEST, SHORTEST, SECOND = 0, 1, 2

_E, _P, _L, _B, _Q = ENTITIES, PAGES, LINES, BARS, QUESTIONS
WORLD = np.dtype(
    [
        ("chance", np.uint64),  # state of the random numbers; see `framework_research.worlds.chance`
        ("seed", np.uint64),
        ("level", np.float64),
        ("entities", np.int64),
        ("pages", np.int64),
        ("bars", np.int64),
        ("questions", np.int64),
        ("code", np.float32, (_E, CODE)),  # -1 and 1: how an entity looks in this world
        ("name", np.int16, (_E, SYLLABLES)),  # number of each syllable, -1 for none
        ("twin", np.int8, (_E,)),  # who has nearly the same name and code, or -1
        ("subject", np.int8, (_E, _P, _L)),  # of each line of each page of each document; -1 for no line
        ("relation", np.int8, (_E, _P, _L)),
        ("object", np.int8, (_E, _P, _L)),  # -1 where the line stands for the figure
        ("alive", np.uint8, (_E, _P, _L)),  # 1 where the link to the object's document works
        ("figure_page", np.int8, (_E,)),  # of the document's only figure; -1 for none
        ("figure_relation", np.int8, (_E,)),
        ("figure_rule", np.int8, (_E,)),
        ("bar_entity", np.int8, (_E, _B)),  # in the order of the legend
        ("bar_height", np.float32, (_E, _B)),
        ("bar_colour", np.int8, (_E, _B)),
        ("bar_place", np.int8, (_E, _B)),  # from left to right
        ("hops", np.int64, (_Q,)),
        ("asked", np.int8, (_Q, HOPS)),  # the relations of each question; -1 behind the last
        ("chain", np.int8, (_Q, HOPS + 1)),  # from where it starts to its answer
    ],
    align=True,
)

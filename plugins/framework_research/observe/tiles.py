"""What the browser shows, as one picture: each number of the page a grey tile, and the figure below them."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled
from framework_research.observe.figure import SIDE
from framework_research.observe.view import FEATURES, TOKENS

TILE = 2  #: pixels
TOP = 64  #: pixels above the figure: the tiles take 62
HEIGHT = WIDTH = TOP + SIDE  #: the tiles are 102 wide
MIDDLE = 127  #: the grey of 0; black is -1, and one less than white is 1


@compiled
def paint_tiles(rows, figures, pictures):
    """Fill ``pictures`` [N, 3, 112, 112] uint8 with ``rows`` [N, 31, 51] and ``figures`` [N, 3, 48, 48]."""
    pictures[:] = 0
    for at in range(len(rows)):
        for row in range(TOKENS):
            down = TILE * row
            for feature in range(FEATURES):
                grey = np.uint8(MIDDLE + MIDDLE * rows[at, row, feature] + 0.5)  # rounds, as it is not negative
                for across in range(TILE):
                    pictures[at, 0, down, TILE * feature + across] = grey
            for line in range(1, TILE):
                pictures[at, 0, down + line] = pictures[at, 0, down]
        pictures[at, 1:, :TOP] = pictures[at, 0, :TOP]
        pictures[at, :, TOP:, :SIDE] = figures[at]

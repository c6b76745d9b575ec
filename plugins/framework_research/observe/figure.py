"""The figure of the open page as a picture: bars of solid colours on black. Their heights stand nowhere else."""

from __future__ import annotations

import numpy as np

from framework_research.browser.state import page_has_figure
from framework_research.compiled import compiled
from framework_research.worlds.world import BARS

SIDE = 48  #: pixels
#: Red, green and blue of each colour.
COLOURS = np.array([(230, 60, 50), (60, 200, 80), (70, 110, 240), (240, 210, 60)], np.uint8)
_SLOT = SIDE // BARS
_GAP = 2
_TOP = 2  #: pixels above a bar of height 1


@compiled
def paint_figures(worlds, browsers, pictures):
    """Fill ``pictures`` [N, 3, 48, 48] uint8: black where no figure is open."""
    pictures[:] = 0
    for at in range(len(worlds)):
        world, browser = worlds[at], browsers[at]
        if browser.question == world.questions or not browser.viewed or not page_has_figure(world, browser):
            continue
        for bar in range(world.bars):
            left = world.bar_place[browser.document, bar] * _SLOT + _GAP
            height = np.int64(np.round(world.bar_height[browser.document, bar] * (SIDE - _TOP)))
            for channel in range(3):
                shade = COLOURS[world.bar_colour[browser.document, bar], channel]
                for down in range(SIDE - height, SIDE):
                    for across in range(left, left + _SLOT - 2 * _GAP):
                        pictures[at, channel, down, across] = shade

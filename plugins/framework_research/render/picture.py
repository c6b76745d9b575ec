"""Draws a scene of the research environment, for render mode "rgb_array"."""

from __future__ import annotations

from functools import cache
from textwrap import wrap

import numpy as np

from framework.errors import PluginError
from framework_research.observe import figure
from framework_research.render.scene import COLOURS, Scene
from framework_research.render.text import numbered_lines

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise PluginError('pictures of the research environment need pillow: pip install "framework-rl[video]"') from error

WIDTH, HEIGHT = 800, 480
_INK, _PALE, _TITLE, _RULE = "black", "#707070", "#1a4e8a", "#c0c0c0"
_FILLS = dict(zip(COLOURS, map(tuple, figure.COLOURS.tolist()), strict=True))
_SIZE, _LINE = 12, 15
#: A question's lines, and how long they are.
_LINES, _CHARACTERS = 2, 140
#: Left edges of results and legend beside page and bars, and top edges of page, figure and notes.
_MARGIN, _PAGE_LEFT, _LEGEND_LEFT = 10, 185, 300
_PAGE, _FIGURE, _NOTES = 80, 198, 340
_TALLEST, _BAR, _GAP = 100, 40, 20


def draw_scene(scene: Scene) -> np.ndarray:
    """The picture, uint8 [480, 800, 3]."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(image), _font()

    def write(left: int, top: int, *lines: str, fill: str = _INK) -> int:
        for line in lines:
            pen.text((left, top), line, fill, font)
            top += _LINE
        return top

    top = write(_MARGIN, 6, *wrap(scene.question, _CHARACTERS, max_lines=_LINES), fill=_TITLE)
    write(_MARGIN, write(_MARGIN, top, f"last action: {scene.action}"), scene.state, fill=_PALE)
    for top in (_PAGE, _FIGURE, _NOTES):
        pen.line((0, top - 4, WIDTH, top - 4), _RULE)
    write(_MARGIN, write(_MARGIN, _PAGE, "Results", fill=_TITLE), *numbered_lines(scene.results))
    write(
        _PAGE_LEFT,
        write(_PAGE_LEFT, _PAGE, scene.title or "No page is open", fill=_TITLE),
        *numbered_lines(scene.lines),
    )
    write(_MARGIN, write(_MARGIN, _NOTES, "Notes", fill=_TITLE), *numbered_lines(scene.notes))
    top = write(_MARGIN, _FIGURE, scene.figure or "No figure is here", fill=_TITLE)
    for number, bar in enumerate(scene.bars):
        height = "not looked at" if bar.height is None else f"{bar.height:.2f}"
        write(_LEGEND_LEFT + 20, top, f"{number}  {bar.colour}: {bar.entity}, {height}")
        pen.rectangle((_LEGEND_LEFT, top + 2, _LEGEND_LEFT + 10, top + 12), _FILLS[bar.colour])
        top += _LINE
        if bar.height is not None and bar.place is not None:
            left, low = _MARGIN + _GAP + bar.place * (_BAR + _GAP), _NOTES - 10
            pen.rectangle((left, low - round(_TALLEST * bar.height), left + _BAR, low), _FILLS[bar.colour])
    return np.asarray(image).copy()


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_SIZE)

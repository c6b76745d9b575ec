"""What a stream can show."""

from __future__ import annotations

import os
from typing import TextIO

from framework.report.text_chart import Style, can_encode


def style_of(stream: TextIO | None) -> Style:
    """What charts on a stream may be drawn with: colours in a terminal, unless ``NO_COLOR`` asks for none."""
    live = is_terminal(stream) and not os.environ.get("NO_COLOR")
    return Style(unicode=can_encode(getattr(stream, "encoding", None)), colour=live)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal in which text can be drawn over."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def size_of(stream: TextIO | None) -> tuple[int, int]:
    """Columns and lines of a terminal: as ``COLUMNS`` and ``LINES`` have them, as it says itself, or 80 by 24."""
    try:
        size = os.get_terminal_size(stream.fileno() if stream is not None else -1)
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return _number("COLUMNS") or size.columns or 80, _number("LINES") or size.lines or 24


def _number(variable: str) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else 0

"""Curves in text: charts of a terminal's width, and sparklines of one line.

Where the encoding has them, lines are dots of braille letters, two by four in a cell; else they are ASCII. Curves are
told apart by letters: colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from attrs import frozen

from framework.report.numbers import tick_labels, ticks, widened
from framework.studies.curves import Curve, Panel

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"
_POINTS = "●◆▲■○◇△□"
_ASCII_POINTS = "ox#%&$@="
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROWS = 8  #: of the plane, at least
_MARKS = 3  #: letters along a curve
_COLOURS = (36, 33, 35, 32, 34, 31)
#: The bit of each dot of a braille letter, by row and column, and the letter without dots.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE = 0x2800


@frozen
class Style:
    """What the characters of a chart may be."""

    unicode: bool = True
    colour: bool = False


PLAIN = Style()


def can_encode(encoding: str | None) -> bool:
    """Whether text in an encoding may have what charts are drawn with."""
    try:
        f"{chr(_BRAILLE)}{_BARS}{_POINTS}│┤└┴─…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def sparkline(values: Sequence[float], width: int, style: Style = PLAIN) -> str:
    """The course of ``values`` in at most ``width`` letters, each the mean of its share; ``""`` without values."""
    if not len(values) or width < 1:
        return ""
    bars = _BARS if style.unicode else _ASCII_BARS
    means = np.array([np.mean(part) for part in np.array_split(np.asarray(values), min(width, len(values)))])
    spread = means.max() - means.min()
    levels = (means - means.min()) / spread * (len(bars) - 1) if spread else np.zeros(len(means))
    return "".join(bars[int(level)] for level in levels.round())


def chart(panel: Panel, x_label: str, width: int, height: int, style: Style = PLAIN) -> list[str]:
    """The lines of a chart, at most ``width`` letters wide and about ``height`` lines high.

    Args:
        panel: what is drawn.
        x_label: what stands below the horizontal axis.
        width: of the whole chart.
        height: of the whole chart.
        style: what its characters may be.
    """
    legend = [
        _cut(f"{_sign(panel.curves, index, style)} {curve.label}", width, style)
        for index, curve in enumerate(panel.curves)
    ]
    rows = max(_ROWS, height - len(legend) - 4)
    bounds = _bounds(panel.curves)
    y_ticks = ticks(bounds[2], bounds[3], max(2, rows // 4))
    names = tick_labels(y_ticks)
    margin = max(map(len, names), default=0)
    frame = _Frame(max(8, width - margin - 2), rows, *bounds)
    named = {int(row): name for row, name in zip(frame.rows(np.array(y_ticks), rows), names, strict=True)}
    upright, tick = ("│", "┤") if style.unicode else ("|", "+")
    drawn = _draw(panel.curves, frame, style)
    lines = [_cut(panel.title, width, style)]
    for row, line in enumerate(drawn):
        lines.append(f"{named.get(row, ''):>{margin}} {tick if row in named else upright}{line}")
    lines += [f"{'':{margin + 1}}{line}".rstrip() for line in _x_axis(frame, style, x_label)]
    return [*lines, *(_painted(line, curve.group, style) for line, curve in zip(legend, panel.curves, strict=True))]


@frozen
class _Frame:
    """The plane that curves are drawn in: cells, and the stretches of both axes."""

    width: int
    height: int
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def columns(self, x: np.ndarray, count: int) -> np.ndarray:
        """In which of ``count`` columns values lie."""
        return np.rint((x - self.x_low) / (self.x_high - self.x_low) * (count - 1)).astype(int)

    def rows(self, y: np.ndarray, count: int) -> np.ndarray:
        """In which of ``count`` rows values lie, counted from above."""
        return np.rint((self.y_high - y) / (self.y_high - self.y_low) * (count - 1)).astype(int)


def _bounds(curves: Sequence[Curve]) -> tuple[float, float, float, float]:
    x = np.concatenate([curve.band.x for curve in curves])
    y = np.concatenate([bound for curve in curves for bound in (curve.band.low, curve.band.high)])
    start = 0.0 if 0 < x.min() < 0.1 * x.max() else x.min()  # where runs begin
    return *widened(float(start), float(x.max())), *widened(float(y.min()), float(y.max()))


# --- the plane ---------------------------------------------------------------------------------------------------


def _draw(curves: Sequence[Curve], frame: _Frame, style: Style) -> list[str]:
    """The rows of the plane: ranges, over them lines, over them points and letters."""
    across, down = (2, 4) if style.unicode else (1, 1)
    rows, columns = frame.height * down, frame.width * across
    letters, owners = np.full((frame.height, frame.width), " "), np.full((frame.height, frame.width), -1)
    dots = np.zeros((rows, columns), bool)

    def cover(mask: np.ndarray, index: int, letter: str) -> None:
        cells = mask.reshape(frame.height, down, frame.width, across).any(axis=(1, 3))
        owners[cells], letters[cells] = index, letter
        np.logical_or(dots, mask, out=dots)

    every_other = np.arange(rows)[:, None] % down % 2 == 0
    sparse = every_other & (np.arange(columns) % across == 0)
    for index, curve in enumerate(curves):
        x, _, low, high = curve.band
        if curve.points:
            for point in range(len(x)):
                one = slice(point, point + 1)
                cover(_between(x[one], low[one], high[one], frame, rows, columns) & every_other, index, ".")
        elif (high > low).any():
            cover(_between(x, low, high, frame, rows, columns) & sparse, index, ".")
    for index, curve in enumerate(curves):
        if not curve.points:
            line = _between(curve.band.x, curve.band.mean, curve.band.mean, frame, rows, columns)
            cover(line, index, _sign(curves, index, style))
    if style.unicode:
        bits = (dots.reshape(frame.height, 4, frame.width, 2) * _DOTS[None, :, None, :]).sum(axis=(1, 3))
        letters = np.array([[chr(_BRAILLE + bit) if bit else " " for bit in row] for row in bits.tolist()])
    for index, curve in enumerate(curves):
        if len(curves) > 1 or curve.points:
            x, y = _marked(curve, index, len(curves))
            at = frame.rows(y, frame.height), frame.columns(x, frame.width)
            letters[at], owners[at] = _sign(curves, index, style), index
    groups = np.array([*(curve.group for curve in curves), -1])[owners]
    return [_row(*row, style) for row in zip(letters.tolist(), groups.tolist(), strict=True)]


def _between(x: np.ndarray, low: np.ndarray, high: np.ndarray, frame: _Frame, rows: int, columns: int) -> np.ndarray:
    """What lies between two curves, [rows, columns] bool; at least a line without gaps."""
    at = np.union1d(np.clip(np.linspace(frame.x_low, frame.x_high, columns), x[0], x[-1]), x)
    column = frame.columns(at, columns)
    top, bottom = (frame.rows(np.interp(at, x, y), rows) for y in (high, low))
    first, last = np.full(columns, rows), np.full(columns, -1)
    np.minimum.at(first, column, top)
    np.maximum.at(last, column, bottom)
    for bound, reach in ((first, np.minimum), (last, np.maximum)):  # neighbours meet halfway
        edge = top if bound is first else bottom
        halfway = (edge[:-1] + edge[1:]) // 2
        reach.at(bound, column[:-1], halfway)
        reach.at(bound, column[1:], halfway)
    row = np.arange(rows)[:, None]
    return (first <= row) & (row <= last)


def _marked(curve: Curve, index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the sign of a curve stands: at its points; along a line, at places that each curve has for itself."""
    band = curve.band
    if curve.points:
        return band.x, band.mean
    shares = (np.arange(_MARKS) + (index + 1) / (count + 1)) / _MARKS
    x = band.x[0] + shares * (band.x[-1] - band.x[0])
    return x, np.interp(x, band.x, band.mean)


def _sign(curves: Sequence[Curve], index: int, style: Style) -> str:
    """What a curve is told by: a letter or, for points, a shape."""
    curve = curves[index]
    kind = [number for number, neighbour in enumerate(curves) if neighbour.points == curve.points]
    if curve.points:
        signs = _POINTS if style.unicode else _ASCII_POINTS
    elif len(kind) > 1:
        signs = _LETTERS
    else:
        signs = "─" if style.unicode else "*"
    return signs[kind.index(index) % len(signs)]


def _row(letters: Sequence[str], groups: Sequence[int], style: Style) -> str:
    """One row of cells, each stretch of a group in its colour."""
    end = max((column + 1 for column, letter in enumerate(letters) if letter != " "), default=0)
    stretches = groupby(zip(letters[:end], groups[:end], strict=True), key=lambda cell: cell[1])
    return "".join(_painted("".join(letter for letter, _ in cells), group, style) for group, cells in stretches)


def _painted(text: str, group: int, style: Style) -> str:
    return f"\x1b[{_COLOURS[group % len(_COLOURS)]}m{text}\x1b[0m" if style.colour and group >= 0 else text


# --- around it ---------------------------------------------------------------------------------------------------


def _x_axis(frame: _Frame, style: Style, label: str) -> list[str]:
    """The line below the plane, its numbers, and what they are."""
    corner, dash, tick = ("└", "─", "┴") if style.unicode else ("+", "-", "+")
    values = ticks(frame.x_low, frame.x_high, max(1, frame.width // 14))
    line, numbers = [dash] * frame.width, " " * (frame.width + 1)
    for name, column in zip(tick_labels(values), frame.columns(np.array(values), frame.width).tolist(), strict=True):
        start = max(0, min(column + 1 - len(name) // 2, frame.width + 1 - len(name)))
        if not numbers[max(0, start - 1) : start + len(name)].strip():
            numbers = numbers[:start] + name + numbers[start + len(name) :]
            line[column] = tick
    return [corner + "".join(line), numbers.rstrip(), label[: frame.width].center(frame.width).rstrip()]


def _cut(text: str, width: int, style: Style) -> str:
    if len(text) <= width:
        return text
    return text[: width - 1] + "…" if style.unicode else text[: width - 3] + "..."

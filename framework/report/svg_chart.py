"""Charts as SVG inside a page: curves with bands, points with interval bars, intervals side by side.

They scale with their `viewBox`, take their colours from the page's stylesheet, and say what they show in words too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from attrs import evolve, field, frozen
from attrs.converters import optional

from framework.report.html import Content, Html, clipped, element, figure
from framework.report.numbers import number, tick_labels, ticks, widened
from framework.report.style import LIGHT_CURVES

_WIDTH, _HEIGHT = 420, 236
_RIGHT, _TOP, _BOTTOM = 14, 8, 40
_ROW = 34
#: Width of a letter of a label, and what the range of values is widened by, so that curves keep off the edges.
_LETTER = 7
_MARGIN = 0.03
#: Strokes of curves beyond the number of colours.
_DASHES = (None, "6 4", "2 4", "10 4 2 4")


def _numbers(values: Sequence[float] | np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64)


@frozen(eq=False)
class Curve:
    """A line, with a band around it where ``low`` and ``high`` are given; [points] each.

    ``color`` is its number in the palette, by default its place in the chart. Values that are not finite are left out.
    """

    label: str
    x: np.ndarray = field(converter=_numbers)
    y: np.ndarray = field(converter=_numbers)
    low: np.ndarray | None = field(default=None, converter=optional(_numbers))
    high: np.ndarray | None = field(default=None, converter=optional(_numbers))
    color: int | None = None
    points: bool = False  #: whether they are single points with interval bars, rather than a line with a band


@frozen
class Axis:
    """How the values along an axis are shown."""

    label: str = ""
    factor: float = 1.0  #: what they are multiplied by
    unit: str = ""  #: what is written behind each
    include: tuple[float, ...] = ()  #: values that the axis reaches in any case


STEPS = Axis("environment steps")
SHARE = Axis(factor=100, unit="%", include=(0.0, 1.0))


@frozen
class _Scale:
    """From values to places in the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        share = (np.asarray(values, np.float64) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def line_chart(
    title: str,
    curves: Iterable[Curve],
    *,
    x: Axis = STEPS,
    y: Axis = Axis(),
    note: str | None = None,
) -> Html:
    """A figure of curves; of nothing where none of them has a point.

    Args:
        title: what is shown.
        curves: at most a dozen can be told apart.
        x: its axis, environment steps by default.
        y: its axis.
        note: in small print behind the title.
    """
    shown = [_finite(curve, index) for index, curve in enumerate(curves)]
    shown = [curve for curve in shown if len(curve.x)]
    if not shown:
        return Html()
    values = [part for curve in shown for part in (curve.y, curve.low, curve.high) if part is not None]
    upward = _off_edges(_scale(values, y, _HEIGHT - _BOTTOM, _TOP), y)
    left = 14 + _LETTER * max(len(label) for _, label in _marks(upward, y))
    across = _scale([curve.x for curve in shown], x, left, _WIDTH - _RIGHT)
    content = [
        _y_ticks(upward, y, left),
        _x_ticks(across, x, _HEIGHT - _BOTTOM),
        (_points(curve, across, upward, x, y) if curve.points else _line(curve, across, upward) for curve in shown),
    ]
    words = "; ".join(_described(curve, x, y) for curve in shown)
    drawing = _svg(title, words, _HEIGHT, content)
    keys = _legend(shown) if len(shown) > 1 else None
    return figure(title, drawing, keys, note=note, class_="chart")


def interval_chart(
    title: str,
    rows: Sequence[tuple[str, float, float, float]],
    *,
    x: Axis = Axis(),
    note: str | None = None,
) -> Html:
    """A figure with a line for each of ``rows``: label, estimate, and the low and high end of its interval."""
    rows = [row for row in rows if np.isfinite(row[1:]).all()]
    if not rows:
        return Html()
    height = _TOP + _ROW * len(rows) + _BOTTOM
    across = _scale([np.array(row[1:]) for row in rows], x, _RIGHT, _WIDTH - _RIGHT)
    content: list[Content] = [_x_ticks(across, x, height - _BOTTOM, lines_from=_TOP)]
    words = []
    for index, (label, *values) in enumerate(rows):
        middle = _TOP + _ROW * index + 24
        estimate, low, high = (float(across(value)) for value in values)
        shown = f"{label}: {_interval(values, x)}"
        words.append(shown)
        content.append(
            element(
                "g",
                element("title", shown),
                element("text", clipped(label, 60), x=_RIGHT, y=middle - 10),
                element("path", d=_bar(low, middle, high, middle), class_="bar"),
                element("circle", cx=f"{estimate:.1f}", cy=middle, r=4, class_="dot"),
                class_=f"c{index % len(LIGHT_CURVES)}",
            )
        )
    return figure(title, _svg(title, "; ".join(words), height, content), note=note, class_="chart")


def _columns(curve: Curve) -> np.ndarray:
    """x, y and, where it has them, both ends of its intervals: [2 or 4, points]."""
    return np.stack([part for part in (curve.x, curve.y, curve.low, curve.high) if part is not None])


def _finite(curve: Curve, index: int) -> Curve:
    """A curve without points that are not finite, and with its colour."""
    columns = _columns(curve)
    x, y, *ends = columns[:, np.isfinite(columns).all(0)]
    low, high = ends or (None, None)
    return evolve(curve, x=x, y=y, low=low, high=high, color=index if curve.color is None else curve.color)


def _scale(values: Sequence[np.ndarray], axis: Axis, start: float, end: float) -> _Scale:
    every = np.concatenate([*values, np.array(axis.include)])
    return _Scale(*widened(float(every.min()), float(every.max())), start, end)


def _off_edges(scale: _Scale, axis: Axis) -> _Scale:
    """A scale a little wider than its values, but where it ends at one that the axis reaches in any case."""
    margin = _MARGIN * (scale.high - scale.low)
    low = scale.low if scale.low in axis.include else scale.low - margin
    high = scale.high if scale.high in axis.include else scale.high + margin
    return evolve(scale, low=low, high=high)


def _svg(title: str, words: str, height: float, content: Content) -> Html:
    return element(
        "svg",
        element("title", title),
        element("desc", clipped(words, 2000)),
        content,
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def _marks(scale: _Scale, axis: Axis) -> list[tuple[float, str]]:
    """Place and label of the ticks of an axis."""
    values = ticks(scale.low * axis.factor, scale.high * axis.factor)
    places = scale(np.array(values) / axis.factor)
    return [(float(place), label + axis.unit) for place, label in zip(places, tick_labels(values), strict=True)]


def _y_ticks(scale: _Scale, axis: Axis, left: float) -> Iterable[Html]:
    for place, label in _marks(scale, axis):
        yield element("path", d=f"M{left} {place:.1f}H{_WIDTH - _RIGHT}", class_="rule")
        yield element("text", label, x=left - 6, y=f"{place + 4:.1f}", text_anchor="end")


def _x_ticks(scale: _Scale, axis: Axis, bottom: float, lines_from: float | None = None) -> Iterable[Html]:
    for place, label in _marks(scale, axis):
        top = bottom + 4 if lines_from is None else lines_from
        yield element("path", d=f"M{place:.1f} {bottom}V{top}", class_="rule")
        anchor = "end" if place > _WIDTH - _RIGHT - 8 else "middle"
        yield element("text", label, x=f"{place:.1f}", y=bottom + 17, text_anchor=anchor)
    yield element("path", d=f"M{scale.start} {bottom}H{scale.end}", class_="rule")
    yield element("text", axis.label, x=(scale.start + scale.end) / 2, y=bottom + 34, text_anchor="middle")


def _line(curve: Curve, across: _Scale, upward: _Scale) -> Html:
    x, y = across(curve.x), upward(curve.y)
    band: Content = None
    if curve.low is not None and curve.high is not None:
        edge = np.concatenate([x, x[::-1]])
        outline = np.concatenate([upward(curve.high), upward(curve.low)[::-1]])
        band = element("path", d=f"{_path(edge, outline)}Z", class_="band")
    if len(x) == 1:
        mark = element("circle", cx=f"{x[0]:.1f}", cy=f"{y[0]:.1f}", r=3.5, class_="dot")
    else:
        mark = element("path", d=_path(x, y), class_="curve", stroke_dasharray=_dash(curve))
    return element("g", band, mark, class_=_color(curve))


def _points(curve: Curve, across: _Scale, upward: _Scale, x_axis: Axis, y_axis: Axis) -> Html:
    """Points with bars, joined by a thin line."""
    marks = []
    for at, *values in _columns(curve).T:
        place, estimate, *ends = float(across(at)), *(float(upward(value)) for value in values)
        shown = f"{number(at * x_axis.factor)}{x_axis.unit} {x_axis.label}: {_interval(values, y_axis)}"
        bar = element("path", d=_bar(place, ends[0], place, ends[1]), class_="bar") if ends else None
        dot = element("circle", cx=f"{place:.1f}", cy=f"{estimate:.1f}", r=3.5, class_="dot")
        marks.append(element("g", element("title", shown), bar, dot))
    joined = element(
        "path",
        d=_path(across(curve.x), upward(curve.y)),
        class_="curve",
        stroke_dasharray=_dash(curve),
        opacity=0.5,
    )
    return element("g", joined, marks, class_=_color(curve))


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _bar(x0: float, y0: float, x1: float, y1: float) -> str:
    return f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"


def _color(curve: Curve) -> str:
    return f"c{(curve.color or 0) % len(LIGHT_CURVES)}"


def _dash(curve: Curve) -> str | None:
    return _DASHES[(curve.color or 0) // len(LIGHT_CURVES) % len(_DASHES)]


def _legend(curves: Sequence[Curve]) -> Html:
    def key(curve: Curve) -> Html:
        dot = element("circle", cx=14, cy=6, r=3.5, class_="dot") if curve.points or len(curve.x) == 1 else None
        stroke = element("path", d="M1 6H27", class_="curve", stroke_dasharray=_dash(curve))
        sample = element(
            "svg", element("g", stroke, dot, class_=_color(curve)), viewBox="0 0 28 12", aria_hidden="true"
        )
        return element("li", sample, clipped(curve.label, 80))

    return element("ul", map(key, curves), class_="legend")


def _described(curve: Curve, x: Axis, y: Axis) -> str:
    values = curve.y * y.factor
    first, last, low, high = (number(value) + y.unit for value in (values[0], values[-1], values.min(), values.max()))
    start, end = (f"{number(value * x.factor)}{x.unit}" for value in (curve.x[0], curve.x[-1]))
    if len(values) == 1:
        return f"{curve.label}: {first} at {start} {x.label}"
    return f"{curve.label}: from {first} at {start} to {last} at {end} {x.label}, between {low} and {high}"


def _interval(values: Sequence[float] | np.ndarray, axis: Axis) -> str:
    """An estimate with its interval, if it has one, in words."""
    estimate, *ends = (number(float(value) * axis.factor) + axis.unit for value in values)
    return f"{estimate} [{ends[0]}, {ends[1]}]" if ends else estimate

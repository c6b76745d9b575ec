import re

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from framework.report.text_chart import Style, can_encode, chart, sparkline
from framework.studies.band import band
from framework.studies.curves import Curve, Panel
from framework.studies.recorded_run import Series

ASCII = Style(unicode=False)


def curve(x, *seeds, label="pole (1 seed)", points=False):
    return Curve(label, band([Series(np.array(x, float), np.array(y, float)) for y in seeds]), points)


def test_sparkline_is_the_course_of_the_values():
    """Eight levels from the lowest to the highest; of many values means, of equal ones the lowest."""
    assert sparkline(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 1, 1], 2) == "▁█"
    assert sparkline([3, 3, 3], 10) == "▁▁▁"
    assert sparkline(range(8), 8, ASCII) == "_.-=+*#@"
    assert (sparkline([], 5), sparkline([1.0], 0)) == ("", "")


def test_line_in_ascii_is_where_its_values_are():
    """Rising from the corner to the opposite one, with round numbers at both axes."""
    assert chart(Panel("return", (curve([0, 100], [0, 10]),)), "steps", 40, 13, ASCII) == [
        "return",
        "10 +                                ****",
        "   |                           ******",
        "   |                      ******",
        "   |                 ******",
        " 5 +            ******",
        "   |       ******",
        "   |  ******",
        " 0 +***",
        "   ++-----------------+----------------+",
        "    0                50              100",
        "                  steps",
        "* pole (1 seed)",
    ]


def test_line_of_dots_is_where_its_values_are():
    """Two by four in a cell, without a gap."""
    lines = chart(Panel("return", (curve([0, 1], [0, 1]),)), "", 13, 13)
    plane = [re.split("[│┤]", line)[1] for line in lines[1:9]]
    dots = [(row, column) for row, line in enumerate(plane) for column, letter in enumerate(line) if letter != " "]
    assert dots == sorted(dots, key=lambda cell: (cell[0], cell[1]))
    columns = sorted({column for _, column in dots})
    assert columns == list(range(len(columns)))
    assert all(0x2800 < ord(letter) < 0x2900 for line in plane for letter in line if letter != " ")


def test_range_of_seeds_is_lighter_than_their_mean():
    """Dots around it; in dots of braille, every fourth."""
    lines = chart(Panel("return", (curve([0, 1], [0, 0], [10, 10]),)), "", 30, 16, ASCII)
    plane = [re.split("[|+]", line)[1] for line in lines[1:12]]
    assert {letter for line in plane for letter in line} == {".", "*"}
    assert plane[5] == "*" * len(plane[5])
    braille = chart(Panel("return", (curve([0, 1], [0, 0], [10, 10]),)), "", 30, 16)
    weights = [sum((ord(letter) - 0x2800).bit_count() for letter in line if ord(letter) >= 0x2800) for line in braille]
    light = {2 * sum(letter >= "\u2800" for letter in braille[1])}
    assert set(weights[1:5]) == set(weights[8:12]) == light
    assert max(weights) > max(light)


@pytest.mark.parametrize("style", [Style(), ASCII])
def test_curves_are_told_apart_without_colour(style):
    """By letters along them, and by shapes where they are points; the legend has them."""
    curves = (
        curve([0, 100], [0, 0], label="one"),
        curve([0, 100], [10, 10], label="two"),
        curve([50], [5], label="three", points=True),
    )
    lines = chart(Panel("return", curves), "steps", 60, 20, style)
    shape = "●" if style.unicode else "o"
    assert lines[-3:] == ["A one", "B two", f"{shape} three"]
    plane = lines[1:-6]
    assert ("B" in plane[0], "A" in plane[-1], shape in plane[len(plane) // 2]) == (True, True, True)


def test_evaluations_have_their_range_at_their_points():
    """Nothing is known between them."""
    drawn = curve([0, 100], [0, 5], [10, 5], points=True)
    lines = chart(Panel("return", (drawn,)), "", 30, 13, ASCII)
    plane = [re.split("[|+]", line)[1] for line in lines[1:9]]
    assert [line[:1] for line in plane] == list("....o...")
    assert [line[1:].strip() for line in plane] == ["", "", "", "", "o", "", "", ""]


def test_colour_follows_the_pipeline():
    """The same for its evaluations; escape sequences change nothing of the letters."""
    curves = (curve([0, 1], [0, 5], label="one"), evolve(curve([0, 1], [5, 0], label="two"), group=1))
    panel = Panel("return", (*curves, evolve(curve([0], [1], label="three", points=True), group=1)))
    coloured = chart(panel, "steps", 60, 20, Style(colour=True))
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == chart(panel, "steps", 60, 20)
    assert coloured[-3:] == ["\x1b[36mA one\x1b[0m", "\x1b[33mB two\x1b[0m", "\x1b[33m● three\x1b[0m"]


finite = st.floats(-1e6, 1e6)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), finite, finite), min_size=1, max_size=30),
    st.integers(20, 120),
    st.integers(8, 40),
    st.booleans(),
    st.booleans(),
)
def test_charts_of_anything_fit(values, width, height, unicode, points):
    """Never wider than the terminal, and all of one shape; single points, equal values, unequal distances."""
    values = sorted(values)
    x = [row[0] for row in values]
    drawn = curve(x, [row[1] for row in values], [row[2] for row in values], points=points, label="n" * 200)
    lines = chart(Panel("t" * 200, (drawn,)), "environment steps", width, height, Style(unicode=unicode))
    assert max(map(len, lines)) <= width
    assert len(lines) == max(8, height - 5) + 5
    assert unicode or all(line.isascii() for line in lines)


def test_encodings():
    """What cannot have the letters gets ASCII."""
    assert [can_encode(name) for name in ("utf-8", "ascii", "latin-1", "cp1252", None, "no-such")] == [True] + [
        False
    ] * 5

import re

import numpy as np
import pytest
from markup import HOSTILE, Page, check_page

from framework.report.html import page
from framework.report.svg_chart import SHARE, Axis, Curve, interval_chart, line_chart

X = [0, 100, 200]


def paths(chart, kind):
    """The points of the paths of a kind, [points, 2] each; those of the legend left out."""
    drawing = chart[chart.index("<svg") : chart.index("</svg>") + len("</svg>")]
    drawn = [attributes["d"] for attributes, _ in Page(drawing).all("path") if attributes.get("class") == kind]
    return [np.array(re.findall(r"[ML]?(-?[\d.]+) (-?[\d.]+)", path), float) for path in drawn]


def labels(chart):
    """All texts in the picture."""
    return [inner for _, inner in Page(chart).all("text")]


def test_a_curve_goes_through_its_points():
    """Steps to the right and values upward, evenly."""
    chart = line_chart("Return", [Curve("a", X, [0, 1, 2])])
    [curve] = paths(chart, "curve")
    assert curve.shape == (3, 2)
    right, up = np.diff(curve, axis=0).T
    assert right == pytest.approx([right[0]] * 2, abs=0.11)
    assert up == pytest.approx([up[0]] * 2, abs=0.11)
    assert right[0] > 0 > up[0]
    assert {"0", "50", "100", "environment steps"} <= set(labels(chart))


def test_a_band_surrounds_its_curve():
    """Along its high end and back along its low one."""
    chart = line_chart("Return", [Curve("a", X, [1, 2, 3], low=[0, 1, 2], high=[2, 3, 4])])
    [curve], [band] = paths(chart, "curve"), paths(chart, "band")
    assert band.shape == (6, 2)
    assert (band[:3, 1] < curve[:, 1]).all()
    assert (band[:2:-1, 1] > curve[:, 1]).all()


def test_everything_is_inside_the_picture():
    """Bands and bars too, whatever their size."""
    generator = np.random.default_rng(0)
    for scale in (1e-9, 1.0, 1e9):
        y = scale * generator.normal(size=3)
        curve = Curve("a", X, y, y - scale, y + scale)
        for chart in (line_chart("t", [curve]), line_chart("t", [Curve("b", X, y, y - scale, y, points=True)])):
            points = np.concatenate([part for kind in ("curve", "band", "bar") for part in paths(chart, kind)])
            assert (points >= 0).all()
            assert (points <= [420, 236]).all()


@pytest.mark.parametrize("y", [[0, 1e-9], [0.000914, 0.000915], [-123456.5, -123456.0], [0, 2e13]])
def test_labels_have_room(y):
    """They begin inside of the picture, however long they are: a letter is at most 7 wide."""
    read = Page(line_chart("t", [Curve("a", [0, 1], y)]))
    ends = [(float(text["x"]), inner) for text, inner in read.all("text") if text["text-anchor"] == "end"]
    assert len(ends) > 2
    assert all(end - 7 * len(label) >= 0 for end, label in ends)


def test_points_have_interval_bars_and_tell_their_numbers():
    """On being pointed at: where, how much, and its interval."""
    chart = line_chart("Evaluation", [Curve("a", [0, 50], [10, 20], [9, 18], [11, 23], points=True)])
    assert len(paths(chart, "bar")) == 2
    titles = [inner for _, inner in Page(chart).all("title")]
    assert titles == ["Evaluation", "0 environment steps: 10 [9, 11]", "50 environment steps: 20 [18, 23]"]


def test_values_that_are_not_finite_are_left_out():
    """A curve of none of them draws nothing; of nothing there is no figure."""
    nan = float("nan")
    chart = line_chart("Loss", [Curve("a", X, [1, nan, 3]), Curve("b", X, [nan, float("inf"), nan])])
    [curve] = paths(chart, "curve")
    assert len(curve) == 2
    assert line_chart("Loss", [Curve("b", X, [nan] * 3)]) == ""
    assert line_chart("Loss", []) == ""
    assert "nan" not in chart


@pytest.mark.parametrize("y", [[3.0, 3.0, 3.0], [0.0, 0.0, 0.0], [-1e-12] * 3, [1e12, 1e12 + 1, 1e12]])
def test_constants_are_drawn_in_the_middle(y):
    """A range of nothing is widened."""
    [curve] = paths(line_chart("c", [Curve("c", X, y)]), "curve")
    assert curve[:, 1] == pytest.approx([(8 + 196) / 2] * 3, abs=3)


def test_a_single_point_is_a_dot():
    """A run that has just begun."""
    chart = line_chart("Return", [Curve("a", [5], [2.5])])
    assert paths(chart, "curve") == []
    assert len(Page(chart).all("circle")) == 1


def test_shares_are_in_percent_from_nothing_to_all():
    """Whatever part of it they take."""
    assert {"0%", "100%"} <= set(labels(line_chart("Waiting", [Curve("a", X, [0.5, 0.4, 0.45])], y=SHARE)))


def test_charts_are_described_in_words():
    """Name and description for those who do not see them: start, end, extremes."""
    chart = line_chart("Return", [Curve("seed 1", X, [1, 5, 3])])
    [(attributes, _)] = Page(chart).all("svg")[:1]
    assert attributes["role"] == "img"
    assert attributes["viewbox"] == "0 0 420 236"
    [(_, words)] = Page(chart).all("desc")
    assert words == "seed 1: from 1 at 0 to 3 at 200 environment steps, between 1 and 5"


def test_curves_have_a_legend_and_keep_their_colours():
    """A legend for several; beyond the palette strokes differ."""
    assert Page(line_chart("Return", [Curve("a", X, X)])).all("li") == []
    curves = [Curve(f"seed {n}", X, [n, n, n]) for n in range(8)]
    read = Page(line_chart("Return", curves))
    assert [inner for _, inner in read.all("li")] == [f"seed {n}" for n in range(8)]
    drawn = {
        (group["class"], path.get("stroke-dasharray"))
        for (group, _), (path, _) in zip(
            read.all("g"), [part for part in read.all("path") if part[0]["class"] == "curve"], strict=True
        )
    }
    assert len(drawn) == 8
    assert 'class="c4"' in line_chart("Return", [Curve("a", X, X, color=4)])


def test_intervals_side_by_side():
    """A row each, in order, the estimate between its ends."""
    rows = [("ppo", 0.8, 0.7, 0.95), ("dqn", 0.6, 0.5, 0.9), ("broken", float("nan"), 0, 1)]
    chart = interval_chart("IQM", rows, x=Axis("score"))
    first, second = paths(chart, "bar")
    assert first[0, 1] < second[0, 1]
    dots = [float(attributes["cx"]) for attributes, _ in Page(chart).all("circle")]
    assert first[0, 0] < dots[0] < first[1, 0]
    assert "ppo: 0.8 [0.7, 0.95]; dqn: 0.6 [0.5, 0.9]" in chart
    assert interval_chart("IQM", []) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_labels_are_text(name):
    """Whatever runs and metrics are called."""
    chart = line_chart(
        name,
        [Curve(name, X, X), Curve(name, X, X, X, X, points=True)],
        x=Axis(name),
        y=Axis(name, unit=name[:2]),
        note=name,
    )
    read = check_page(page("p", chart, interval_chart(name, [(name, 1, 0, 2)], x=Axis(name))))
    assert len(read.all("svg")) == 4

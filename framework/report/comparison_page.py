"""A comparison of groups of runs as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence

from framework import __version__
from framework.report.comparison import (
    Table,
    curve_table,
    differences_table,
    profile_table,
    scores_table,
    training_table,
)
from framework.report.html import Html, details, element, grid, listing, page, paragraph, section, table, tiles
from framework.report.numbers import duration, number
from framework.report.svg_chart import SHARE, Axis, Curve, interval_chart, line_chart
from framework.studies.comparison import Comparison, Estimate, Line

_FOOT = (
    "Intervals are 95 % percentile bootstrap intervals over runs, bands those at each point. IQM is the interquartile"
    " mean, the mean of the middle half of the runs. Both as in Agarwal et al., arXiv:2108.13264."
)


def comparison_page(comparison: Comparison, title: str) -> Html:
    """The whole page: notes first, then scores, learning curves, differences, profiles, and every run."""
    differences, profile = differences_table(comparison), profile_table(comparison)
    return page(
        f"{title}, compared",
        section("Notes", listing(comparison.notes)) if comparison.notes else None,
        _section(scores_table(comparison), _score_chart(comparison)),
        _section(differences, _difference_charts(comparison)) if differences else None,
        _section(curve_table(comparison), _curve_chart(comparison)),
        _section(profile, _profile_chart(comparison)) if profile else None,
        _section(training_table(comparison)),
        section("Runs", _runs(comparison)),
        head=tiles({f"{result.name}, IQM": number(result.iqm.value) for result in comparison.results}),
        foot=paragraph(_FOOT, f" framework {__version__}."),
    )


def _section(part: Table, *charts: Html) -> Html:
    rows = table(part.header, part.rows, caption=part.title, numbers=part.header[1:])
    return section(part.title, *charts, paragraph(part.explanation, muted=True), rows)


def _score_chart(comparison: Comparison) -> Html:
    iqm = [(result.name, result.iqm) for result in comparison.results]
    mean = [(result.name, result.mean) for result in comparison.results]
    axis = Axis(comparison.metric)
    return grid(
        _intervals(f"IQM of {comparison.metric}", iqm, axis),
        _intervals(f"Mean of {comparison.metric}", mean, axis),
        large=True,
    )


def _curve_chart(comparison: Comparison) -> Html:
    curves = [_curve(result.name, result.curve) for result in comparison.results]
    return grid(line_chart(f"{comparison.column}, IQM over runs", curves), large=True)


def _difference_charts(comparison: Comparison) -> Html:
    first = f"{comparison.results[0].name} (baseline)"
    differences = [(difference.name, difference.difference) for difference in comparison.differences]
    probabilities = [(difference.name, difference.probability) for difference in comparison.differences]
    return grid(
        _intervals(
            f"Difference of mean {comparison.metric}",
            [(first, Estimate(0.0, 0.0, 0.0)), *differences],
            Axis("difference", include=(0.0,)),
        ),
        _intervals(
            "Probability of improvement",
            [(first, Estimate(0.5, 0.5, 0.5)), *probabilities],
            Axis("probability that a run is better", SHARE.factor, SHARE.unit, SHARE.include),
        ),
        large=True,
    )


def _profile_chart(comparison: Comparison) -> Html:
    curves = [_curve(result.name, result.profile) for result in comparison.results]
    return grid(line_chart("Share of runs above a score", curves, x=Axis(comparison.metric), y=SHARE), large=True)


def _intervals(title: str, rows: Sequence[tuple[str, Estimate]], x: Axis) -> Html:
    """A chart of those that have an interval; of nothing where one of several has none."""
    whole = [(name, value, low, high) for name, (value, low, high) in rows if low is not None and high is not None]
    return interval_chart(title, whole, x=x) if len(whole) == len(rows) else Html()


def _curve(name: str, line: Line) -> Curve:
    return Curve(name, line.x, line.y, line.low, line.high)


def _runs(comparison: Comparison) -> Html:
    header = ["group", "seed", comparison.metric, "steps", "time", "run directory"]
    rows = [
        [
            result.name,
            str(outcome.run.seed),
            number(outcome.score),
            number(outcome.steps),
            duration(outcome.seconds),
            element("code", str(outcome.run.directory)),
        ]
        for result in comparison.results
        for outcome in result.outcomes
    ]
    listed = table(header, rows, caption="Every run that was compared.", numbers=header[1:5])
    return details(f"{len(rows)} runs", listed)

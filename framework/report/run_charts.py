"""The curves of runs as charts: what was learned, what the algorithm says of itself, and what took the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from framework.report.html import Html, clipped, grid, markup, paragraph
from framework.report.run_curves import POINTS, Group
from framework.report.svg_chart import SHARE, Axis, Curve, line_chart

#: Columns of ``metrics.jsonl`` that the kernel writes.
_KERNEL = {"update", "steps", "episodes", "return", "length", "success", "lag", "dropped", "failed_episodes"}
_MACHINE = "time/machine/"
#: Charts of a section.
_CHARTS = 60
_LEARNER = {"waiting": "waiting for samplers", "updating": "updating"}
_SAMPLERS = {"acting": "policy", "stepping": "environments"}
_SCORES = {"return": "Return", "success": "Success", "length": "Episode length"}


def learning(groups: Sequence[Group]) -> Html:
    """Returns, successes and lengths of episodes, while training and in evaluations."""
    charts = []
    for score, title in _SCORES.items():
        axis = SHARE if score == "success" else Axis()
        charts.append(_chart(title, groups, score, axis, "mean of the last 100 episodes"))
        curves = [curve for group in groups if (curve := group.evaluation(score)) is not None]
        charts.append(line_chart(f"{title} in evaluations", curves, y=axis, note=_bars(groups, curves)))
    shown = markup(charts)
    return markup(paragraph(_bands(groups), muted=True), grid(shown, large=True)) if shown else Html()


def algorithm(groups: Sequence[Group]) -> Html:
    """Whatever else is in the metrics: the algorithm's own, those of bonuses and curricula, and of evaluations."""
    names = [
        name
        for name in _columns(groups)
        if not name.startswith("time/") and name not in _KERNEL and not _is_shown_evaluation(name)
    ]
    charts = [_chart(clipped(name, 80), groups, name) for name in names[:_CHARTS]]
    left_out = len(names) - _CHARTS
    return markup(
        grid(charts) if charts else None,
        paragraph(f"{left_out} more are in metrics.jsonl.", muted=True) if left_out > 0 else None,
    )


def speed(groups: Sequence[Group]) -> Html:
    """Throughput, where the time goes, and how old the data was."""
    rates = [curve for group in groups if (curve := group.throughput()) is not None]
    charts = [
        line_chart("Environment steps per second", rates, y=Axis(include=(0.0,)), note="with all that the run does"),
        *_shares("Learner's time", groups, _LEARNER, ("time/waiting", "time/updating")),
        *_shares("Samplers' time", groups, _SAMPLERS, ("time/total",)),
        _chart("Lag", groups, "lag", note="versions that the acting policy is behind, at most"),
        _chart("Trajectories dropped", groups, "dropped"),
        _chart("Failed episodes", groups, "failed_episodes"),
    ]
    machines = [name for name in _columns(groups) if name.startswith(_MACHINE)]
    charts += [_chart(clipped(name.removeprefix("time/"), 80), groups, name) for name in machines[:_CHARTS]]
    shown = markup(charts)
    return grid(shown) if shown else Html()


def _shares(title: str, groups: Sequence[Group], parts: dict[str, str], wholes: tuple[str, ...]) -> Iterator[Html]:
    """Shares of a time: of one group in one chart, of several in a chart for each part."""
    by_part = {
        words: [curve for group in groups if (curve := group.share(f"time/{part}", wholes)) is not None]
        for part, words in parts.items()
    }
    if len(groups) > 1:
        yield from (line_chart(f"{title}: {words}", curves, y=SHARE) for words, curves in by_part.items())
    else:
        curves = [evolve(curve, label=words, color=None) for words, [*shown] in by_part.items() for curve in shown]
        yield line_chart(title, curves, y=SHARE)


def _chart(title: str, groups: Sequence[Group], column: str, axis: Axis | None = None, note: str | None = None) -> Html:
    curves = [curve for group in groups if (curve := group.curve(column)) is not None]
    if len(curves) == 1 < len(groups):
        note = f"{curves[0].label}, {note}" if note else curves[0].label
    return line_chart(title, curves, y=axis or Axis(), note=note)


def _columns(groups: Sequence[Group]) -> list[str]:
    """The columns of all runs, in order of appearance."""
    return list(dict.fromkeys(name for group in groups for series in group.series for name in series))


def _is_shown_evaluation(name: str) -> bool:
    score = name.removeprefix("evaluation/")
    return score != name and (score in _SCORES or score.startswith("return_") or score == "episodes")


def _bars(groups: Sequence[Group], curves: Sequence[Curve]) -> str | None:
    """What the bars or bands of evaluations are."""
    meanings = {
        "95 % intervals over episodes" if len(group.runs) == 1 else "the range of seeds"
        for group in groups
        for curve in curves
        if curve.label == group.label and curve.low is not None
    }
    return f"means, with {' or '.join(sorted(meanings))}" if meanings else None


def _bands(groups: Sequence[Group]) -> str:
    """What the bands around curves are."""
    sentences = []
    if any(len(group.runs) > 1 for group in groups):
        sentences.append("Lines are means over seeds, bands their range.")
    longest = max(len(run.metrics) for group in groups for run in group.runs)
    if longest > POINTS and any(len(group.runs) == 1 for group in groups):
        sentences.append("Of one run, lines are means over stretches, bands the range in each.")
    return " ".join(sentences)

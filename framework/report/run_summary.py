"""How runs stand: what a page about them begins with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from framework.report.html import Content, Html, chip, clipped, element, markup, paragraph, table, tiles
from framework.report.numbers import duration, number
from framework.report.run_curves import Group, interval, is_number
from framework.studies.recorded_run import RecordedRun, Status

#: What a word about a run's end means to its reader.
_MEANING = {"done": "good", "stopped": "good", "interrupted": "fair", "killed": "bad", "failed": "bad", "running": None}
#: What follows from it. `{run}` is the run directory.
_ADVICE = {
    "done": "All steps are done.",
    "stopped": "It was asked to stop before all steps were done.",
    "interrupted": "It was interrupted, and can be resumed: framework run --resume {run}",
    "killed": "It ended without a word, as when its process or machine is killed. It can be resumed: framework run "
    "--resume {run}",
    "failed": "It failed, and can be resumed once the cause is mended: framework run --resume {run}",
    "running": "It goes on: this page shows what was recorded so far.",
}


def head(run: RecordedRun, status: Status) -> Html:
    """The status of a run, what follows from it, and why it failed or was stopped, if it was."""
    return markup(
        paragraph(chip(status, _MEANING[status]), " ", _ADVICE[status].format(run=shlex.quote(str(run.directory)))),
        (element("pre", reason) for reason in _reasons(run, status)),
        None if run.metrics else paragraph("It has recorded no update yet."),
    )


def headline(run: RecordedRun) -> Html:
    """The figures of a run that are asked for first."""
    last = _last(run, "update")
    evaluations = _evaluations(run)
    values: dict[str, Content] = {}
    if evaluations:
        best = max(evaluations, key=lambda line: line["evaluation/return"])
        values["last evaluation"] = _evaluation(evaluations[-1])
        if best["evaluation/return"] > evaluations[-1]["evaluation/return"]:
            values[f"best evaluation, at {number(best['steps'])} steps"] = _evaluation(best)
    for name, title in (("return", "return, last 100 episodes"), ("success", "success, last 100 episodes")):
        if (value := _last(run, name)) is not None:
            values[title] = f"{value:.1%}" if name == "success" else number(value)
    total, steps = run.pipeline["run"].get("total_steps"), _last(run, "steps")
    if steps is not None:
        values[f"of {total:,} environment steps" if is_number(total) else "environment steps"] = number(steps)
    if last is not None:
        values["updates"] = number(last)
    if (episodes := _last(run, "episodes")) is not None:
        values["episodes"] = number(episodes)
    if seconds := _last(run, "time/seconds"):
        values["time"] = duration(seconds)
        if steps is not None:
            values["environment steps per second"] = number(round(steps / seconds))
    return tiles(values) if values else Html()


def overview(groups: Sequence[Group], statuses: Mapping[RecordedRun, Status]) -> Html:
    """A table of runs: how each stands, and what it has reached; below it, why runs failed or were stopped."""
    header = ["seed", "steps", "time", "return", "last evaluation", "best evaluation"]
    rows, reasons = [], []
    for run in (run for group in groups for run in group.runs):
        status, scores = statuses[run], [line["evaluation/return"] for line in _evaluations(run)]
        figures = (_last(run, "steps"), _last(run, "time/seconds"), _last(run, "return"), *(scores[-1:] or [None]))
        steps, seconds, *reached = figures
        rows.append(
            [
                clipped(run.directory.name, 80),
                chip(status, _MEANING[status]),
                str(run.seed),
                _figure(steps),
                "-" if seconds is None else duration(seconds),
                *map(_figure, (*reached, max(scores, default=None))),
            ]
        )
        reasons += [paragraph(f"{run.directory.name}: {reason}") for reason in _reasons(run, status)]
    return markup(table(["run", "status", *header], rows, caption="Runs, with mean returns", numbers=header), reasons)


def _figure(value: float | None) -> str:
    return "-" if value is None else number(value)


def _reasons(run: RecordedRun, status: Status) -> list[str]:
    """Why a run failed or was stopped, where it was."""
    reasons = [event.get("reason") for event in run.events if event.get("event") == status]
    return [clipped(str(reason), 4000) for reason in reasons[-1:]] if status in ("failed", "stopped") else []


def _evaluations(run: RecordedRun) -> list[dict[str, Any]]:
    return [line for line in run.evaluations if is_number(line["evaluation/return"]) and is_number(line.get("steps"))]


def _last(run: RecordedRun, column: str) -> Any:
    """The last number in a column; None where there is none."""
    return next((line[column] for line in reversed(run.metrics) if is_number(line.get(column))), None)


def _evaluation(line: dict[str, Any]) -> Content:
    ends = interval(line, "return")
    value = number(line["evaluation/return"])
    return [value, " ", element("small", f"[{number(ends[0])}, {number(ends[1])}]")] if ends else value

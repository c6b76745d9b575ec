"""A run while it lasts: a live view in a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from framework.runtime.learner import Update

_LIVE_INTERVAL = 0.25  # seconds between two pictures
_LINE_INTERVAL = 2.0  # seconds between two lines
#: Share of the time that the learner waits for data above which sampling is called the bottleneck.
_WAITING_SHARE = 0.3


class View(Protocol):
    """What a run is shown in."""

    def show(self, row: dict[str, str]) -> None:
        """Show the state of the run now."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


class Progress:
    """The numbers of the view: rates over the last interval rather than since the start."""

    def __init__(self, total_steps: int):
        self._total = total_steps
        self._since: float | None = None
        self._steps = 0
        self._waiting = self._updating = 0.0

    def add(self, update: Update) -> None:
        """Count an update in."""
        if self._since is None:  # the first update waited for the samplers to start, which is no rate
            self._since, self._steps = monotonic(), update.steps
        self._waiting += update.metrics["time/waiting"]
        self._updating += update.metrics["time/updating"]

    def row(self, update: Update) -> dict[str, str]:
        """Name and value of everything that is shown; starts the next interval."""
        now = monotonic()
        elapsed = now - (self._since or now)
        rate = (update.steps - self._steps) / elapsed if elapsed else 0.0
        waiting = self._waiting / max(self._waiting + self._updating, 1e-9)
        metrics = update.metrics
        row = {
            "steps": f"{update.steps:,} of {self._total:,}",
            "steps/s": f"{rate:,.0f}" if rate else "-",
            "return": _number(metrics.get("return")),
        }
        if "success" in metrics:
            row["success"] = f"{metrics['success']:.0%}"
        if "curriculum/level" in metrics:
            row["level"] = f"{metrics['curriculum/level']:.2f}"
        for name, value in metrics.items():
            if name.startswith("bonus/") and name.endswith("/reward"):
                row[name.split("/")[1]] = f"{value:.3g}"
        row["lag"] = str(metrics["lag"])
        row["bottleneck"] = f"sampling ({waiting:.0%} waiting)" if waiting > _WAITING_SHARE else "learning"
        row["left"] = duration(max(0, self._total - update.steps) / rate) if rate else "-"
        self._since, self._steps = now, update.steps
        self._waiting = self._updating = 0.0
        return row


def watch(updates: Iterable[Update], total_steps: int, stream: TextIO | None = None) -> Update | None:
    """Show a run while iterating over it; returns the last update."""
    stream = stream or sys.stdout
    progress = Progress(total_steps)
    last: Update | None = None
    live = stream.isatty()
    interval = _LIVE_INTERVAL if live else _LINE_INTERVAL
    shown = monotonic() - interval
    with _terminal(stream) if live else _lines(stream) as view:
        for last in updates:
            progress.add(last)
            if monotonic() - shown >= interval:
                view.show(progress.row(last))
                shown = monotonic()
            if last.evaluation is not None:
                view.say(describe_evaluation(last.evaluation))
    return last


def describe_evaluation(line: dict[str, Any]) -> str:
    """A line of an evaluation in ``metrics.jsonl``, in words."""
    summary = {name.removeprefix("evaluation/"): value for name, value in line.items()}
    return f"evaluation at {line['steps']:,} steps: {describe_result(summary)}"


def describe_result(summary: dict[str, Any]) -> str:
    """The summary of an evaluation, in words."""
    text = f"return {summary['return']:.2f} (min {summary['return_min']:.2f}, max {summary['return_max']:.2f})"
    text += f", length {summary['length']:.1f}"
    if "success" in summary:
        text += f", success {summary['success']:.0%}"
    for name, value in summary.items():
        if name.startswith("metrics/"):
            text += f", {name.removeprefix('metrics/')} {value:.3g}"
    return f"{text}, {summary['episodes']} episodes"


def duration(seconds: float) -> str:
    """Seconds as ``1:02:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@contextmanager
def _lines(stream: TextIO) -> Iterator[View]:
    class Lines:
        def show(self, row: dict[str, str]) -> None:
            self.say("  ".join(f"{name} {value}" for name, value in row.items()))

        def say(self, text: str) -> None:
            print(text, file=stream, flush=True)

    yield Lines()


@contextmanager
def _terminal(stream: TextIO) -> Iterator[View]:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    console = Console(file=stream)
    with Live(console=console, auto_refresh=False) as live:

        class Terminal:
            def show(self, row: dict[str, str]) -> None:
                table = Table.grid(padding=(0, 2))
                for name, value in row.items():
                    table.add_row(f"[dim]{name}[/dim]", value)
                live.update(table, refresh=True)

            def say(self, text: str) -> None:
                live.console.print(text)

        yield Terminal()

"""A run while it lasts: a live view in a terminal, plain lines where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

if TYPE_CHECKING:
    from framework.runtime.learn.update import Update

_LIVE_INTERVAL = 0.25  # seconds between two updates of the live view
_LINE_INTERVAL = 2.0  # seconds between two lines
#: What columns about a machine begin with, and how many machines are shown.
_MACHINE = "time/machine/"
_MACHINES = 8
#: Share of the time that the learner waits for data above which sampling is called the bottleneck.
_WAITING_SHARE = 0.3


class View(Protocol):
    """A display of a run."""

    def show(self, row: dict[str, str]) -> None:
        """Show the state of the run now."""

    def say(self, text: str) -> None:
        """Show a permanent line."""


class Progress:
    """The numbers of the view: rates over the last interval rather than since the start."""

    def __init__(self, total_steps: int, apart: bool = True):
        self._apart = apart
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
        if not self._apart:
            row["time"] = f"{waiting:.0%} sampling, {1 - waiting:.0%} learning"
        else:
            row["bottleneck"] = f"sampling ({waiting:.0%} waiting)" if waiting > _WAITING_SHARE else "learning"
        row |= {name: value for name, value in _machines(metrics).items() if name not in row}
        row["left"] = duration(max(0, self._total - update.steps) / rate) if rate else "-"
        self._since, self._steps = now, update.steps
        self._waiting = self._updating = 0.0
        return row


class Output:
    """The stream that a run is shown in. Once it cannot be written to, the run continues without being shown."""

    def __init__(self, stream: TextIO | None):
        self.stream = stream

    @property
    def live(self) -> bool:
        """Whether it is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def say(self, text: str) -> None:
        """Write a line."""
        with self.guarded():
            if self.stream is not None:
                click.echo(text, file=self.stream)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What is written here may fail: a pipe whose reader is gone, a terminal that was closed, a full disk."""
        try:
            yield
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError):  # otherwise buffered text fails again, at the latest when Python exits
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno() if self.stream else -1)
            self.stream = None
            with suppress(OSError):
                click.echo(f"standard output cannot be written to ({error}): the run continues without it", err=True)


def watch(updates: Iterable[Update], total_steps: int, output: Output, *, apart: bool = True) -> Update | None:
    """Show a run while iterating over it, whose samplers are processes ``apart``; returns the last update."""
    progress = Progress(total_steps, apart)
    last: Update | None = None
    interval = _LIVE_INTERVAL if output.live else _LINE_INTERVAL
    shown = monotonic() - interval
    with _terminal(output) if output.live else _lines(output) as view:
        for last in updates:
            progress.add(last)
            if monotonic() - shown >= interval:
                view.show(progress.row(last))
                shown = monotonic()
            if last.evaluation is not None:
                view.say(describe_evaluation(last.evaluation))
    return last


def describe_evaluation(line: dict[str, Any]) -> str:
    """A line of an evaluation in ``metrics.jsonl``, as text."""
    summary = {name.removeprefix("evaluation/"): value for name, value in line.items()}
    return f"evaluation at {line['steps']:,} steps: {describe_result(summary)}"


def describe_result(summary: dict[str, Any]) -> str:
    """The summary of an evaluation, as text."""
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


def _machines(metrics: dict[str, Any]) -> dict[str, str]:
    """A line for each machine of an update's metrics, for the first few of them."""
    columns = [name.removeprefix(_MACHINE).rpartition("/") for name in metrics if name.startswith(_MACHINE)]
    names = list(dict.fromkeys(name for name, _, _ in columns))
    rows = {}
    for name in names[:_MACHINES]:
        values = {column: metrics[f"{_MACHINE}{machine}/{column}"] for machine, _, column in columns if machine == name}
        samplers = f"{values['samplers']} sampler{'' if values['samplers'] == 1 else 's'}"
        rows[name] = f"{samplers}, {values['steps_per_second']:,.0f} steps/s"
        if "lag" in values:
            rows[name] += f", lag {values['lag']:.3g}"
        if values["reconnects"]:
            rows[name] += f", {values['reconnects']} reconnects"
    if len(names) > _MACHINES:
        rows["machines"] = f"{len(names) - _MACHINES} more"
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@contextmanager
def _lines(output: Output) -> Iterator[View]:
    class Lines:
        def show(self, row: dict[str, str]) -> None:
            self.say("  ".join(f"{name} {value}" for name, value in row.items()))

        def say(self, text: str) -> None:
            output.say(text)

    yield Lines()


@contextmanager
def _terminal(output: Output) -> Iterator[View]:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    console = Console(file=output.stream)
    live = Live(console=console, auto_refresh=False)

    class Terminal:
        def show(self, row: dict[str, str]) -> None:
            table = Table.grid(padding=(0, 2))
            for name, value in row.items():
                table.add_row(f"[dim]{name}[/dim]", value)
            with output.guarded():
                live.update(table, refresh=True)

        def say(self, text: str) -> None:
            with output.guarded():
                live.console.print(text)

    with output.guarded():
        live.start()
    try:
        yield Terminal()
    finally:
        with output.guarded():
            live.stop()

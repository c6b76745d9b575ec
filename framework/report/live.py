"""A run while it lasts: a live view in a terminal, plain lines where there is none; and its result at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from textwrap import wrap
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

from framework.report.progress import End, Progress, describe_evaluation
from framework.report.terminal import is_terminal, size_of, style_of
from framework.report.text_chart import Style

if TYPE_CHECKING:
    from framework.runtime.learn.update import Update
    from framework.studies.recorded_run import RecordedRun

_LIVE_INTERVAL = 0.25  # seconds between two updates of the live view
_LINE_INTERVAL = 2.0  # seconds between two lines


class View(Protocol):
    """A display of a run."""

    def show(self, progress: Progress) -> None:
        """Show the state of the run now."""

    def evaluated(self, evaluation: dict[str, Any]) -> None:
        """Show an evaluation."""


class Output:
    """The stream that a run is shown in. Once it cannot be written to, the run continues without being shown."""

    def __init__(self, stream: TextIO | None):
        self.stream = stream
        self._live: _Live | None = None

    @property
    def live(self) -> bool:
        """Whether it is a terminal."""
        return is_terminal(self.stream)

    @property
    def style(self) -> Style:
        """What can be drawn on it."""
        return style_of(self.stream)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return size_of(self.stream)

    def say(self, text: str) -> None:
        """Write a line."""
        with self.guarded():
            if self.stream is not None:
                click.echo(text, file=self.stream, color=True)

    def tell(self, text: str) -> None:
        """Write lines to standard error; above the live view where both are in the terminal."""
        if self._live is not None and self._live.has_stderr:
            self._live.tell(text)
        else:
            with suppress(OSError):  # the terminal may be gone
                click.echo(text, err=True)

    def notify(self, text: str) -> None:
        """Show a line at once, from a signal handler: in the live view, else on standard error."""
        if self._live is not None:
            self._live.notify(text)
        if self._live is None or not os.isatty(2):
            with suppress(OSError):
                os.write(2, f"{text}\n".encode())

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

    @contextmanager
    def view(self) -> Iterator[View]:
        """The display of a run; what is drawn over is gone in the end."""
        if not self.live:
            yield _Lines(self)
            return
        self._live = _Live(self)
        try:
            yield self._live
        finally:
            self._live.close()
            self._live = None


def watch(
    updates: Iterable[Update],
    total_steps: int,
    output: Output,
    *,
    apart: bool = True,
    recorded: RecordedRun | None = None,
) -> Update | None:
    """Show a run while iterating over it, and in the end its result; returns the last update.

    Args:
        updates: of the run.
        total_steps: how many there are to be.
        output: where it is shown.
        apart: whether its samplers are processes of their own.
        recorded: a run that is resumed, as it was recorded until then.
    """
    progress = Progress(total_steps, apart, recorded)
    end: End = "failed"
    try:
        with output.view() as view:
            _follow(updates, progress, view, _LIVE_INTERVAL if output.live else _LINE_INTERVAL)
        end = "done"
    except (KeyboardInterrupt, GeneratorExit):
        end = "interrupted"
        raise
    finally:
        if progress.last is not None:
            for line in progress.result(end, output.size[0] - 1, output.style, brief=not output.live):
                output.say(line)
    return progress.last


def _follow(updates: Iterable[Update], progress: Progress, view: View, interval: float) -> None:
    shown = monotonic() - interval
    view.show(progress)
    for update in updates:
        progress.add(update)
        if update.evaluation is not None:
            view.evaluated(update.evaluation)
        if monotonic() - shown >= interval:
            view.show(progress)
            shown = monotonic()


class _Lines:
    """A line now and then."""

    def __init__(self, output: Output):
        self._output = output

    def show(self, progress: Progress) -> None:
        if progress.last is not None:
            self._output.say("  ".join(f"{name} {value}" for name, value in progress.row().items()))

    def evaluated(self, evaluation: dict[str, Any]) -> None:
        self._output.say(describe_evaluation(evaluation))


class _Live:
    """Lines that are drawn over, at the bottom of a terminal.

    The last of them is empty: the cursor stays there, for what the terminal and others write meanwhile.
    """

    def __init__(self, output: Output):
        from rich.console import Console
        from rich.live import Live

        self._output = output
        self._console = Console(file=output.stream, highlight=False, markup=False)
        #: Whether standard error is in a terminal too; asked before rich puts something of its own in its place.
        self.has_stderr = is_terminal(sys.stderr)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
            redirect_stderr=self.has_stderr,  # into a file it goes as it is
        )
        self._lines: list[str] = []
        self._notice = ""
        self._painting = False
        with output.guarded():
            self._live.start()
            self._console.show_cursor(True)  # a process that is killed would leave the terminal without

    def show(self, progress: Progress) -> None:
        self._lines = progress.lines(self._output.size[0] - 1, self._output.style)
        self._paint()

    def evaluated(self, evaluation: dict[str, Any]) -> None:
        """It is one of the lines."""

    def notify(self, text: str) -> None:
        """Show a line below the others from now on; a signal handler may call it at any time."""
        self._notice = text
        self._paint()

    def tell(self, text: str) -> None:
        """Write lines above, to stay."""
        self._painting = True
        with self._output.guarded():
            self._console.print(text, soft_wrap=True)
        self._painting = False
        self._paint()

    def close(self) -> None:
        with self._output.guarded():
            self._live.stop()

    def _paint(self) -> None:
        """Draw, and again where a signal handler has changed something meanwhile: it draws into nothing half done."""
        drawn: list[str] | None = None
        while not self._painting and drawn != (lines := self._shown()):
            self._painting = True
            with self._output.guarded():
                self._draw(lines)
            drawn = lines
            self._painting = False

    def _shown(self) -> list[str]:
        return [*self._lines, *wrap(self._notice, max(1, self._output.size[0] - 1)), ""]

    def _draw(self, lines: list[str]) -> None:
        from rich.console import ConsoleDimensions
        from rich.text import Text

        self._console.size = ConsoleDimensions(*self._output.size)
        self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis", end=""), refresh=True)

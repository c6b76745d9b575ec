"""How many of something are done, in one line of a terminal that is drawn over; nothing where there is no terminal."""

from __future__ import annotations

from time import monotonic
from typing import TextIO

from framework.report.terminal import is_terminal, size_of

_INTERVAL = 0.1  #: seconds between two looks
_CLEAR = "\r\x1b[K"


class Counter:
    """Counts finished episodes, as a context manager.

    Args:
        stream: where they are shown.
        head: what the line begins with.
    """

    def __init__(self, stream: TextIO | None, head: str = ""):
        self._stream = stream if is_terminal(stream) else None
        self._head = head
        self._shown = -_INTERVAL

    def count(self, finished: int, episodes: int, step: int) -> None:
        """Show that ``finished`` of ``episodes`` are, after so many steps of each."""
        if self._stream is None or monotonic() - self._shown < _INTERVAL:
            return
        self._shown = monotonic()
        line = f"{self._head}{finished:,} of {episodes:,} episodes finished, step {step:,}"
        self._write(_CLEAR + line[: size_of(self._stream)[0] - 1])

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError:  # the terminal is gone
                self._stream = None

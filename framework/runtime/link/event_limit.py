"""A limit to the events that samplers and hosts cause: who means harm must not fill a disk or a terminal with them."""

from __future__ import annotations

from collections.abc import Callable

from framework.runtime.link.source import Event, News

#: Events that may come at once, more than any number of machines that join together cause, and each second.
BURST, RATE = 16_384, 4.0


class EventLimit:
    """Passes news on to ``announce``, of events not more than the limit.

    Those that are left out are counted, and told of as one event, ``events_left_out``.
    """

    def __init__(self, announce: Callable[[News], None], burst: int = BURST):
        self._announce = announce
        self._burst = self._allowance = float(burst)
        self._left_out = 0
        self._now: float | None = None

    def __call__(self, news: News) -> None:
        """Pass on, or leave out."""
        if isinstance(news, Event):
            if self._allowance < 1:
                self._left_out += 1
                return
            self._allowance -= 1
        self._announce(news)

    def tick(self, now: float) -> None:
        """Time goes on: ``now`` is that of a monotonic clock, in seconds."""
        if self._now is not None:
            self._allowance = min(self._burst, self._allowance + RATE * (now - self._now))
        self._now = now
        if self._left_out and self._allowance >= 1:
            count, self._left_out = self._left_out, 0
            self(Event("events_left_out", {"count": count}))

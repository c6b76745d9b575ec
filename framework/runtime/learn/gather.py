"""Gathering what the next update learns from, and recording what happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.link.rounds import Rounds
from framework.runtime.link.source import Accepted, Event, Source

_POLL = 0.2  # seconds
#: Seconds in which nobody delivers anything, after which that is told, and again after as many.
_LONG = 60.0


def gather(
    source: Source, rounds: Rounds, update: int, hear: Callable[[Event], None], interrupt: Interrupt
) -> tuple[list[Accepted], list[Accepted]]:
    """What update ``update`` learns from, and what was too old to be learned from, whose credit is returned.

    Waits for it, and tells where it waits for long; ``hear`` is told every event. Raises what `Source.receive` raises,
    and `KeyboardInterrupt`.
    """
    dropped: list[Accepted] = []
    began = told = monotonic()
    while True:
        stale = rounds.stale(update)
        source.release(len(stale))
        dropped += stale
        if ready := rounds.take(update):
            return ready, dropped
        with interrupt.at_once():
            news = source.receive(_POLL)
        if isinstance(news, Event):
            hear(news)
        elif news is not None:
            rounds.add(news)
            began = told = monotonic()
        elif monotonic() - told >= _LONG:
            told = monotonic()
            hear(Event("nothing_delivered", {"seconds": round(told - began)}))

"""What happened in runs beside learning: events, and who collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from framework.report.events import describe, is_worth_reading
from framework.report.html import Content, Html, clipped, details, element, listing, markup, paragraph, table
from framework.studies.recorded_run import RecordedRun

#: Events and rows that are shown of a run.
_EVENTS = 100
_ROWS = 50
#: What becomes of samplers and hosts, as columns of a table.
_FATES = ("joined", "disconnected", "reconnected", "lost", "gone", "replaced", "left", "refused", "quarantined")


def events_of(run: RecordedRun) -> Html:
    """The events of a run that are worth reading, and the others folded away; the last of them where there are many."""
    worth = [event for event in run.events if is_worth_reading(_name(event))]
    ordinary = [event for event in run.events if not is_worth_reading(_name(event))]
    return markup(
        _list(worth) if worth else paragraph("Nothing out of the ordinary happened.") if ordinary else None,
        details(f"{len(ordinary)} ordinary events", _list(ordinary)) if ordinary else None,
    )


def collectors_of(run: RecordedRun) -> Html:
    """Who collected for a run: how often each sampler and host joined, was lost, and came back; nothing for nobody."""
    counts: dict[str, Counter[str]] = {}
    times: dict[str, list[Html]] = {}
    for event in run.events:
        kind, _, fate = _name(event).partition("_")
        who = event.get(kind)
        if kind in ("sampler", "host") and fate in _FATES and isinstance(who, str):
            counts.setdefault(who, Counter())[fate] += 1
            times.setdefault(who, []).append(_time(event))
    if not counts:
        return Html()
    fates = [fate for fate in _FATES if any(counter[fate] for counter in counts.values())]
    rows = [
        (clipped(who, 100), times[who][0], times[who][-1], *(str(counter[fate]) for fate in fates))
        for who, counter in list(counts.items())[:_ROWS]
    ]
    lost = sum(bool(counter["lost"] + counter["gone"]) for counter in counts.values())
    header = ["who", "first heard of", "last event", *fates]
    return markup(
        paragraph(f"{len(counts)} in all, {lost or 'none'} of them lost on the way."),
        table(header, rows, caption="Samplers and hosts: how often what happened to each", numbers=fates),
        paragraph(f"and {len(counts) - _ROWS} more", muted=True) if len(counts) > _ROWS else None,
    )


def _list(events: Sequence[dict[str, Any]]) -> Html:
    left_out = len(events) - _EVENTS
    return markup(
        paragraph(f"The last {_EVENTS} of {len(events):,}.", muted=True) if left_out > 0 else None,
        listing(_rows(events[-_EVENTS:])),
    )


def _rows(events: Iterable[dict[str, Any]]) -> Iterator[Content]:
    for event in events:
        text = describe(_name(event), event).strip()
        traceback, _, conclusion = text.rpartition("\n") if "Traceback" in text else ("", "", text)
        name = element("strong", _name(event).replace("_", " "))
        folded = details("traceback", element("pre", clipped(traceback, 4000))) if traceback else None
        yield [element("small", _time(event)), " ", name, " ", clipped(conclusion), folded]


def _name(event: dict[str, Any]) -> str:
    return clipped(str(event.get("event")), 100)


def _time(event: dict[str, Any]) -> Html:
    """Day and time, to the second."""
    return element("time", str(event.get("time", ""))[:19].replace("T", " "))

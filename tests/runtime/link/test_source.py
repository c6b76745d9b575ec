import inspect
from typing import Any

import pytest

from framework.runtime.link.inprocess import InProcess
from framework.runtime.link.server import Server
from framework.runtime.link.source import Event, Source

METHODS = [name for name, value in vars(Source).items() if inspect.isfunction(value) and not name.startswith("_")]


def test_a_source_has_methods() -> None:
    """Those that the learner calls."""
    assert set(METHODS) == {"publish", "release", "receive", "complete", "close"}


@pytest.mark.parametrize("source", [Server, InProcess])
@pytest.mark.parametrize("method", METHODS)
def test_sources_can_take_one_anothers_place(source: type[Any], method: str) -> None:
    """Each has the method, with the same parameters, annotations and result."""
    promised, offered = (inspect.signature(getattr(owner, method)) for owner in (Source, source))
    assert offered.parameters == promised.parameters
    assert offered.return_annotation == promised.return_annotation


def test_events_are_told_apart_by_what_they_say() -> None:
    """Equal name and fields make equal events, and nothing else does."""
    event = Event("sampler_lost", {"sampler": "sampler-0"})
    assert event == Event("sampler_lost", {"sampler": "sampler-0"})
    assert event != Event("sampler_lost", {"sampler": "sampler-1"})

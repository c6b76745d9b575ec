import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from framework.exit_codes import NOT_LET_IN
from framework.runtime.launch.starter import SamplerExit
from framework.runtime.launch.supervisor import GIVE_UP_AFTER, Supervisor
from framework.runtime.link.source import Event, Failure, News


class FakeStarter:
    """Starts nothing, and reports the ends that the test makes up."""

    def __init__(self) -> None:
        self.started: queue.SimpleQueue[tuple[str, str, str, int]] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[list[SamplerExit] | Exception] = queue.SimpleQueue()
        self.closed = False

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        self.started.put((endpoint, run, sampler, incarnation))

    def exits(self, timeout: float) -> list[SamplerExit]:
        ends = self.ends.get()
        if isinstance(ends, Exception):
            raise ends
        return ends

    def close(self) -> None:
        self.closed = True
        self.ends.put(ChildProcessError("closed"))


class FakeRoll:
    """The learner's end of a link where nobody has delivered anything."""

    endpoint = "ipc:///nobody/listens"

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.conduct: dict[tuple[str, int], tuple[int, bool]] = {}

    def depart(self, sampler: str, incarnation: int, status: int) -> tuple[int, bool]:
        return self.conduct.get((sampler, incarnation), (0, False))

    def announce(self, *news: News) -> None:
        for event in news:
            self.news.put(event)


@pytest.fixture
def starter() -> FakeStarter:
    return FakeStarter()


@pytest.fixture
def roll() -> FakeRoll:
    return FakeRoll()


@pytest.fixture
def supervise(starter: FakeStarter, roll: FakeRoll) -> Iterator[Callable[[int], Supervisor]]:
    """Starts a supervisor of so many samplers, and closes it after the test."""
    supervisors: list[Supervisor] = []

    def start(samplers: int) -> Supervisor:
        supervisors.append(Supervisor(starter, samplers, "run", roll))
        return supervisors[-1]

    yield start
    for supervisor in supervisors:
        supervisor.close()


def next_of(news: "queue.SimpleQueue[Any]", count: int) -> list[Any]:
    """The next items of a queue."""
    return [news.get(timeout=5) for _ in range(count)]


def test_samplers_are_started(supervise: Any, starter: FakeStarter, roll: FakeRoll) -> None:
    """As many as asked for, with names and the first incarnation."""
    supervise(2)
    assert next_of(starter.started, 2) == [(roll.endpoint, "run", f"sampler-{number}", 0) for number in range(2)]


def test_the_dead_are_replaced(supervise: Any, starter: FakeStarter, roll: FakeRoll) -> None:
    """By their next incarnation; both their end and their replacement are told."""
    supervise(1)
    starter.ends.put([SamplerExit("sampler-0", 0, 17, -9)])
    assert [start[2:] for start in next_of(starter.started, 2)] == [("sampler-0", 0), ("sampler-0", 1)]
    assert next_of(roll.news, 2) == [
        Event("sampler_lost", {"sampler": "sampler-0", "process": 17, "status": -9}),
        Event("sampler_replaced", {"sampler": "sampler-0", "incarnation": 1}),
    ]


@pytest.mark.parametrize("status", [NOT_LET_IN, 0, 1, -9])
def test_one_that_delivers_nothing_is_given_up(
    status: int, supervise: Any, starter: FakeStarter, roll: FakeRoll
) -> None:
    """After `GIVE_UP_AFTER` ends in a row, of whatever kind; a delivery in between starts the count anew."""
    supervise(1)
    roll.conduct["sampler-0", 2] = (3, False)
    lives = 2 + GIVE_UP_AFTER
    for incarnation in range(lives):
        starter.ends.put([SamplerExit("sampler-0", incarnation, 1, status)])
    news = next_of(roll.news, 2 * lives)
    assert [event.name for event in news[:-1]] == ["sampler_lost", "sampler_replaced"] * (lives - 1) + ["sampler_lost"]
    reason = "SIGKILL" if status == -9 else f"exit code {status}"
    assert news[-1] == Failure(f"sampler-0 died 5 times in a row ({reason}) without delivering anything")


def test_exit_codes_are_believed_after_a_reject_only(supervise: Any, starter: FakeStarter, roll: FakeRoll) -> None:
    """An environment that ends its process with the code of a sampler that was not let in is a loss like any other."""
    supervise(1)
    starter.ends.put([SamplerExit("sampler-0", 0, 1, NOT_LET_IN)])
    assert [event.name for event in next_of(roll.news, 2)] == ["sampler_lost", "sampler_replaced"]
    roll.conduct["sampler-0", 1] = (0, True)
    starter.ends.put([SamplerExit("sampler-0", 1, 1, NOT_LET_IN)])
    assert next_of(roll.news, 2)[-1] == Failure("sampler-0 was not let in")


def test_a_lost_starter_is_told_in_its_words(supervise: Any, starter: FakeStarter, roll: FakeRoll) -> None:
    """Whether it is noticed when a sampler ends or when one is to be started."""
    supervise(1)
    starter.ends.put(ChildProcessError("the helper has ended"))
    assert next_of(roll.news, 1) == [Failure("the helper has ended")]


def test_a_starter_that_cannot_start_is_told(supervise: Any, starter: FakeStarter, roll: FakeRoll) -> None:
    """With its error."""

    def start(*arguments: Any) -> None:
        raise ConnectionError("no cluster")

    starter.start = start  # type: ignore[method-assign]
    supervise(1)
    assert next_of(roll.news, 1) == [Failure("samplers cannot be started: ConnectionError: no cluster")]


def test_closing_is_no_news(supervise: Any, starter: FakeStarter, roll: FakeRoll) -> None:
    """The starter is closed, and nothing is told of it."""
    supervise(1).close()
    assert starter.closed
    assert roll.news.empty()

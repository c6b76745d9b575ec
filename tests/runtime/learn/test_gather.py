from collections import deque

import pytest
import trajectories

from framework.runtime.data.shard import first_state
from framework.runtime.learn import gather as module
from framework.runtime.learn.gather import gather
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.link.rounds import Free, Rounds
from framework.runtime.link.source import Accepted, Event


class Scripted:
    """A source that gives what the test says, and remembers the credit it gets back."""

    def __init__(self, *news: Accepted | Event | None):
        self._news = deque(news)
        self.released: list[int] = []

    def publish(self, version: int, snapshot: object) -> None: ...

    def release(self, trajectories: int) -> None:
        self.released.append(trajectories)

    def receive(self, timeout: float) -> Accepted | Event | None:
        return self._news.popleft()

    def complete(self) -> None: ...
    def close(self) -> None: ...


def accepted(shard: int, version: int) -> Accepted:
    """A trajectory that has come in."""
    trajectory = trajectories.make(shard=shard, version=version)
    return Accepted(trajectory, first_state(trajectory))


@pytest.fixture
def events() -> list[Event]:
    """What is heard of while gathering."""
    return []


@pytest.fixture
def rounds() -> Rounds:
    return Free(2, max_lag=2)


def test_it_waits_until_a_round_is_complete(events: list[Event], rounds: Rounds) -> None:
    """However long nothing comes; events are recorded meanwhile."""
    source = Scripted(None, accepted(0, 5), Event("sampler_lost", {"sampler": "s"}), None, accepted(1, 4))
    ready, dropped = gather(source, rounds, 5, events.append, Interrupt())
    assert [arrival.trajectory.shard for arrival in ready] == [0, 1]
    assert dropped == []
    assert events == [Event("sampler_lost", {"sampler": "s"})]


def test_who_waits_for_long_tells(events: list[Event], rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each minute in which nobody delivers anything; events are no deliveries, and a trajectory ends it."""
    times = iter([0, 59, 60, 61, 119, 121, 130, 130, 189, 191, 191, 192])
    monkeypatch.setattr(module, "monotonic", lambda: float(next(times)))
    source = Scripted(None, None, Event("sampler_lost", {}), None, None, accepted(0, 5), None, None, accepted(1, 5))
    gather(source, rounds, 5, events.append, Interrupt())
    told = [event.fields.get("seconds") for event in events]
    assert told == [61, None, 130, 61]


def test_credit_of_what_is_too_old_is_returned_at_once(events: list[Event], rounds: Rounds) -> None:
    """Else nobody might be left who may collect what is waited for."""
    source = Scripted(accepted(0, 1), accepted(1, 5), accepted(0, 5))
    _, dropped = gather(source, rounds, 5, events.append, Interrupt())
    assert [arrival.trajectory.version for arrival in dropped] == [1]
    assert source.released == [0, 1, 0, 0]


def test_a_request_to_end_is_heard_while_waiting(events: list[Event], rounds: Rounds) -> None:
    """As `KeyboardInterrupt`."""
    interrupt = Interrupt()
    interrupt.request()
    with pytest.raises(KeyboardInterrupt):
        gather(Scripted(), rounds, 0, events.append, interrupt)

from framework.runtime.link.event_limit import RATE, EventLimit
from framework.runtime.link.source import Event, Failure, News

FAILURE = Failure("the cause")


def events(count: int) -> list[News]:
    return [Event("sampler_refused", {"number": number}) for number in range(count)]


def test_events_are_left_out_beyond_a_burst() -> None:
    """Nothing else is; how many were is told as soon as there is room for an event."""
    heard: list[News] = []
    limit = EventLimit(heard.append, burst=3)
    for news in [*events(5), FAILURE]:
        limit(news)
    limit.tick(100.0)
    assert heard == [*events(3), FAILURE]
    limit.tick(100.0 + 1 / RATE)
    assert heard[4:] == [Event("events_left_out", {"count": 2})]
    limit.tick(200.0)
    for news in events(4):
        limit(news)
    assert heard[5:] == events(3)
    limit.tick(300.0)
    assert heard[8:] == [Event("events_left_out", {"count": 1})]


def test_below_the_limit_nothing_is_left_out() -> None:
    """However long it goes on."""
    heard: list[News] = []
    limit = EventLimit(heard.append, burst=4)
    for second in range(50):
        limit.tick(float(second))
        for news in events(int(RATE)):
            limit(news)
    assert len(heard) == 50 * RATE

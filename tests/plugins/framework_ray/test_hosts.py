"""Which hosts are at work, and when they are started again."""

from __future__ import annotations

from typing import Any

import pytest

from framework.exit_codes import DONE, ENVIRONMENT_FAILED, NOT_LET_IN, TRY_AGAIN, WRONG_VERSION
from framework.interfaces import HostStatus
from framework_ray.hosts import Exited, Hosts, Lost, News, Started, host_names


class FakeEngine:
    """Tasks are lists of news; the test says when there are some."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.tasks: dict[str, list[News]] = {}  # the last one of each name
        self.cancelled: list[Any] = []

    def submit(self, name: str) -> list[News]:
        self.submitted.append(name)
        self.tasks[name] = []
        return self.tasks[name]

    def news(self, tasks: list[list[News]]) -> list[tuple[Any, News]]:
        return [(task, task.pop(0)) for task in tasks if task]

    def cancel(self, task: Any) -> None:
        self.cancelled.append(task)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def hosts(engine: FakeEngine) -> Hosts:
    """One host, which was submitted at 0 s."""
    hosts = Hosts(engine)
    hosts.want(["ray-0"])
    hosts.look(0.0)
    return hosts


def happens(hosts: Hosts, engine: FakeEngine, *news: News, at: float = 0.0, name: str = "ray-0") -> HostStatus:
    """What is told of the only host once this has happened."""
    for one in news:
        engine.tasks[name].append(one)
        hosts.look(at)
    (status,) = hosts.tell()
    return status


def test_hosts_are_numbered() -> None:
    """From 0, as the samplers of a host are."""
    assert host_names(3) == ["ray-0", "ray-1", "ray-2"]


def test_a_host_waits_runs_and_ends(hosts: Hosts, engine: FakeEngine) -> None:
    """With the machine, its starts, and the exit code at the end; it stays told where it was last."""
    assert hosts.tell() == [HostStatus("ray-0", "waiting")]
    assert happens(hosts, engine, Started("node-7")) == HostStatus("ray-0", "running", "node-7", starts=1)
    assert happens(hosts, engine, Exited(DONE)) == HostStatus("ray-0", "ended", "node-7", DONE, 1)
    hosts.look(1000.0)
    assert engine.submitted == ["ray-0"]


@pytest.mark.parametrize("status", [DONE, NOT_LET_IN, WRONG_VERSION])
def test_final_exit_codes_end_a_host(status: int, hosts: Hosts, engine: FakeEngine) -> None:
    """It would be told the same again."""
    assert happens(hosts, engine, Started("a"), Exited(status), at=1000.0).state == "ended"
    assert engine.submitted == ["ray-0"]


@pytest.mark.parametrize("status", [TRY_AGAIN, 1, 127, -9])
def test_other_exit_codes_start_it_again_after_a_pause(status: int, hosts: Hosts, engine: FakeEngine) -> None:
    """Of a second, with the exit code told."""
    assert happens(hosts, engine, Started("a"), Exited(status)) == HostStatus("ray-0", "waiting", "", status, 1)
    hosts.look(0.9)
    assert engine.submitted == ["ray-0"]
    hosts.look(1.0)
    assert engine.submitted == ["ray-0", "ray-0"]
    assert happens(hosts, engine, Started("b")) == HostStatus("ray-0", "running", "b", status, 2)


def pauses(hosts: Hosts, engine: FakeEngine, news: News, lives: float, repeats: int) -> list[float]:
    """Seconds between the end of each of its processes, which live so long, and the next task."""
    now, waited = 0.0, []
    for _ in range(repeats):
        happens(hosts, engine, Started("a"), at=now)
        now += lives
        submitted = len(engine.submitted)
        happens(hosts, engine, news, at=now)
        ended = now
        while len(engine.submitted) == submitted:
            now += 0.5
            hosts.look(now)
        waited.append(now - ended)
    return waited


def test_pauses_are_doubled_and_bounded(hosts: Hosts, engine: FakeEngine) -> None:
    """A host that fails at once does so once a minute in the end, however long that goes on."""
    waited = pauses(hosts, engine, Exited(TRY_AGAIN), lives=0.0, repeats=1100)
    assert waited[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waited[-1] == 60


def test_a_host_that_has_lived_begins_anew(hosts: Hosts, engine: FakeEngine) -> None:
    """With the shortest pause: it worked."""
    assert pauses(hosts, engine, Exited(TRY_AGAIN), lives=61.0, repeats=3) == [1, 1, 1]


def test_a_lost_host_is_submitted_at_once(hosts: Hosts, engine: FakeEngine) -> None:
    """A node that dies is not its fault; where it happens again and again it may be."""
    assert pauses(hosts, engine, Lost("out of memory"), lives=1.0, repeats=4) == [0, 2, 4, 8]
    assert pauses(hosts, engine, Lost("the node died"), lives=61.0, repeats=3) == [0, 0, 0]


def test_a_lost_host_has_no_exit_code(hosts: Hosts, engine: FakeEngine) -> None:
    """Nobody knows what it was; what was known before is about another process."""
    happens(hosts, engine, Started("a"), Exited(TRY_AGAIN))
    assert happens(hosts, engine, Started("a"), Lost("the node died"), at=2.0).status is None


def test_where_environments_fail_the_next_start_has_another_name(hosts: Hosts, engine: FakeEngine) -> None:
    """The run does not let that name in again; the next machine may be a better one."""
    now = 0.0
    for name in ("ray-0", "ray-0.2", "ray-0.3"):
        status = happens(hosts, engine, Started("a"), Exited(ENVIRONMENT_FAILED), at=now, name=name)
        assert status.name == "ray-0"
        hosts.look(now := now + 60.0)
    assert engine.submitted == ["ray-0", "ray-0.2", "ray-0.3", "ray-0.4"]


def test_scaling_leaves_the_others_alone(hosts: Hosts, engine: FakeEngine) -> None:
    """The last ones are cancelled, new ones submitted, in the order of their names."""
    hosts.want(host_names(3))
    hosts.look(0.0)
    assert engine.submitted == ["ray-0", "ray-1", "ray-2"]
    happens_to_2 = engine.tasks["ray-2"]
    hosts.want(host_names(2))
    hosts.look(0.0)
    assert engine.cancelled == [happens_to_2]
    assert [status.name for status in hosts.tell()] == ["ray-0", "ray-1"]
    assert hosts.leaving
    happens_to_2 += [Started("a"), Lost("cancelled")]
    hosts.look(0.0)
    assert hosts.leaving
    hosts.look(0.0)
    assert not hosts.leaving
    hosts.want(host_names(3))
    hosts.look(0.0)
    assert engine.submitted == ["ray-0", "ray-1", "ray-2", "ray-2"]


def test_a_host_that_waits_for_its_next_start_is_just_forgotten(hosts: Hosts, engine: FakeEngine) -> None:
    """There is nothing to cancel."""
    happens(hosts, engine, Started("a"), Exited(TRY_AGAIN))
    hosts.want([])
    assert not hosts.leaving
    assert engine.cancelled == []


def test_what_happens_is_logged(hosts: Hosts, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, with the reason of what was lost."""
    happens(hosts, engine, Started("node-7"), Lost("the node died"), Started("b"), Exited(-9))
    assert capsys.readouterr().err.splitlines() == [
        "ray-0 collects on node-7",
        "ray-0 was lost: the node died",
        "ray-0 collects on b",
        "ray-0 ended with SIGKILL",
    ]

from collections.abc import Callable, Iterator
from typing import Any

import grants
import numpy as np
import pytest
import torch

from framework.errors import RunError
from framework.runtime.data.shard import ShardState
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.link.inprocess import InProcess
from framework.runtime.link.leases import Leases
from framework.runtime.link.source import Accepted, Event

SNAPSHOT = {"weights": np.zeros(3, np.uint8)}


class FakeWorker:
    """Collects trajectories without environments, and writes down what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.lost: dict[int, list[int]] = {}
        self.collecting: Callable[[], Any] = bool

    def keep(self, version: int, snapshot: Any) -> None:
        self.calls.append(("keep", version))

    def restore(self, shard: int, state: ShardState | None) -> list[int]:
        self.calls.append(("restore", shard, state and state.number))
        self.collecting()
        return self.lost.get(shard, [])

    def collect(self, shard: int, number: int, version: int) -> Trajectory:
        self.calls.append(("collect", shard, number, version))
        self.collecting()
        return grants.trajectory(shard, number, version)


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def threads() -> Iterator[None]:
    """torch has two threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def make_source(worker: Any, shards: int = 2, lag: int | None = 1, states: Any = None, credit: int = 0) -> InProcess:
    """One whose first version is published."""
    source = InProcess(Leases(shards, lag, states, credit=credit), worker)
    source.publish(0, SNAPSHOT)
    return source


def names(news: list[Any]) -> list[tuple[int, int, int]]:
    """Shard, number and version of what was accepted."""
    return [(accepted.trajectory.shard, accepted.trajectory.number, accepted.trajectory.version) for accepted in news]


def test_trajectories_are_collected_in_the_order_of_the_leases(worker: FakeWorker) -> None:
    """Round by round over the shards, as far ahead as the lag allows, each when it is asked for."""
    source = make_source(worker)
    news = [source.receive(0.0) for _ in range(4)]
    assert names(news) == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
    assert worker.calls[0] == ("keep", 0)
    assert worker.calls[1:] == [
        ("restore", 0, None),
        ("collect", 0, 0, 0),
        ("restore", 1, None),
        ("collect", 1, 0, 0),
        ("collect", 0, 1, 0),
        ("collect", 1, 1, 0),
    ]
    source.publish(1, SNAPSHOT)
    assert names([source.receive(0.0) for _ in range(2)]) == [(0, 2, 1), (1, 2, 1)]


def test_what_is_accepted_has_its_state(worker: FakeWorker) -> None:
    """That of the shard after the trajectory."""
    source = make_source(worker, shards=1)
    for number in range(2):
        accepted = source.receive(0.0)
        assert isinstance(accepted, Accepted)
        assert accepted.state.number == number + 1
        expected = grants.state_before(0, number + 1)
        np.testing.assert_array_equal(accepted.state.digest, expected.digest)


def test_shards_go_on_from_their_state(worker: FakeWorker) -> None:
    """Each from its own; one without any from its beginning."""
    source = make_source(worker, shards=3, lag=0, states={0: grants.state_before(0, 3), 2: grants.state_before(2, 3)})
    for version in (1, 2, 3):
        source.publish(version, SNAPSHOT)
    source.receive(0.0)
    assert [call for call in worker.calls if call[0] != "keep"] == [("restore", 1, None), ("collect", 1, 0, 0)]
    for _ in range(5):
        source.receive(0.0)
    restored = [call for call in worker.calls if call[0] == "restore"]
    assert sorted(restored) == [("restore", 0, 3), ("restore", 1, None), ("restore", 2, 3)]


def test_credit_bounds_what_is_collected_ahead(worker: FakeWorker) -> None:
    """Under a free lag; what is released may be collected again, with the newest version."""
    source = make_source(worker, lag=None, credit=3)
    assert names([source.receive(0.0) for _ in range(3)]) == [(0, 0, 0), (1, 0, 0), (0, 1, 0)]
    with pytest.raises(RunError, match="nothing to collect"):
        source.receive(0.0)
    source.publish(5, SNAPSHOT)
    source.release(2)
    assert names([source.receive(0.0) for _ in range(2)]) == [(1, 1, 5), (0, 2, 5)]
    with pytest.raises(RunError, match="nothing to collect"):
        source.receive(0.0)


def test_without_work_nobody_waits_for_ever(worker: FakeWorker) -> None:
    """At a fixed lag too: no trajectory would ever come, so it is an error at once."""
    source = make_source(worker, shards=1, lag=0)
    source.receive(0.0)
    with pytest.raises(RunError, match="nothing to collect: no trajectory is granted"):
        source.receive(60.0)


def test_environments_that_are_lost_are_told_after_the_trajectory(worker: FakeWorker) -> None:
    """By their numbers in the run, once."""
    worker.lost = {0: [0, 1]}
    source = make_source(worker)
    first, event, second, third = (source.receive(0.0) for _ in range(4))
    assert event == Event("not_replayable", {"shard": 0, "environments": [0, 1]})
    assert names([first, second, third]) == [(0, 0, 0), (1, 0, 0), (0, 1, 0)]


@pytest.mark.usefixtures("threads")
def test_sampling_has_one_thread(worker: FakeWorker) -> None:
    """As in a sampler, whatever the learner has; which it has again afterwards."""
    counts = []
    worker.collecting = lambda: counts.append(torch.get_num_threads())
    make_source(worker).receive(0.0)
    assert counts == [1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("threads")
def test_an_environment_that_fails_leaves_the_threads(worker: FakeWorker) -> None:
    """Its error is raised as it is, and the learner that saves a checkpoint then has its threads."""

    def fail() -> None:
        raise RunError("environment 1 failed in step")

    worker.collecting = fail
    with pytest.raises(RunError, match="environment 1 failed in step"):
        make_source(worker).receive(0.0)
    assert torch.get_num_threads() == 2


def test_what_was_not_owed_is_an_error(worker: FakeWorker) -> None:
    """It would be one of the framework, and no data is to be learned from twice."""
    source = make_source(worker)
    worker.collect = lambda shard, number, version: (  # type: ignore[method-assign]
        grants.trajectory(shard, number + 1, version)
    )
    with pytest.raises(RunError, match="trajectory 1 of shard 0 was not owed"):
        source.receive(0.0)


def test_closing_leaves_the_worker(worker: FakeWorker) -> None:
    """It belongs to the learner, which closes it."""
    source = make_source(worker)
    before = list(worker.calls)
    source.close()
    assert worker.calls == before

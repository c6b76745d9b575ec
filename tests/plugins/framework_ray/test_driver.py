"""The driver's loop: what is wanted, and what it tells."""

from __future__ import annotations

from typing import Any

import pytest

from framework_ray import driver
from framework_ray.hosts import Exited, Lost, News, Started


class FakeProcess:
    """Wants another number of hosts with each look, and is to end after the last."""

    def __init__(self, *hosts: int):
        self._hosts = list(hosts)
        self.told: list[Any] = []

    @property
    def ending(self) -> bool:
        return not self._hosts

    @property
    def wanted(self) -> dict[str, Any]:
        return {"hosts": self._hosts.pop(0)}

    def tell(self, told: Any) -> None:
        self.told.append([(host["name"], host["state"]) for host in told])


class FakeCluster:
    """Tasks are there at once; one that is cancelled ends after a while, or never."""

    def __init__(self, stubborn: bool = False):
        self.stubborn = stubborn
        self.cancelled = 0

    def submit(self, name: str) -> list[News | None]:
        return [Started("a")]

    def news(self, tasks: list[list[News | None]]) -> list[tuple[Any, News]]:
        heads = [(task, task.pop(0)) for task in tasks if task]
        return [(task, news) for task, news in heads if news is not None]

    def cancel(self, task: list[News | None]) -> None:
        self.cancelled += 1
        if not self.stubborn:
            task += [None, None, Lost("cancelled")]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_TICK", 0.001)
    monkeypatch.setattr(driver, "_GRACE", 0.05)


def test_it_tells_what_has_changed() -> None:
    """And nothing where nothing has; the first time says that hosts are submitted."""
    process = FakeProcess(1, 1, 1, 2, 2, 2)
    driver.keep(process, FakeCluster())  # type: ignore[arg-type]
    assert process.told == [
        [("ray-0", "waiting")],
        [("ray-0", "running")],
        [("ray-0", "running"), ("ray-1", "waiting")],
        [("ray-0", "running"), ("ray-1", "running")],
    ]


@pytest.mark.parametrize("stubborn", [False, True])
def test_at_the_end_everything_is_cancelled(stubborn: bool) -> None:
    """And waited for, but not for ever: the cluster ends what is left when its driver leaves."""
    cluster = FakeCluster(stubborn)
    driver.keep(FakeProcess(3, 3), cluster)  # type: ignore[arg-type]
    assert cluster.cancelled == 3


def test_a_host_that_is_done_stays_told() -> None:
    """And is not cancelled at the end."""

    class Done(FakeCluster):
        def submit(self, name: str) -> list[News | None]:
            return [Started("a"), Exited(0)]

    process, cluster = FakeProcess(1, 1, 1, 1), Done()
    driver.keep(process, cluster)  # type: ignore[arg-type]
    assert process.told[-1] == [("ray-0", "ended")]
    assert cluster.cancelled == 0

"""What is asked of Ray: in its place stands a module that writes it down."""

from __future__ import annotations

import importlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from framework.errors import RunError
from framework.interfaces import Work
from framework_ray.config import RayConfig
from framework_ray.hosts import Exited, Lost, Started


class RayError(Exception):
    """As in ``ray.exceptions``."""


class FakeRay(ModuleType):
    """The module ``ray``. Objects are what was put; a task is an iterator over its objects, or errors."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.calls: list[Any] = []
        self.submitted: list[tuple[dict[str, Any], tuple[Any, ...]]] = []
        self.refusal: Exception | None = None

    def init(self, **arguments: Any) -> None:
        self.calls.append(arguments)
        if self.refusal is not None:
            raise self.refusal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray does, in its own way

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def put(self, value: Any) -> list[Any]:
        return ["reference", value]

    def get(self, reference: Any) -> Any:
        if isinstance(reference, Exception):
            raise reference
        return reference

    def wait(
        self, tasks: list[Any], num_returns: int, timeout: float, fetch_local: bool
    ) -> tuple[list[Any], list[Any]]:
        assert (num_returns, timeout, fetch_local) == (len(tasks), 0, False)
        return tasks[::2], tasks[1::2]

    def cancel(self, task: Any) -> None:
        self.calls.append(("cancel", task))

    def remote(self, function: Any) -> Any:
        ray = self

        class Remote:
            def options(self, **options: Any) -> Any:
                self.given = options
                return self

            def remote(self, *arguments: Any) -> str:
                ray.submitted.append((self.given, arguments))
                return "task"

        return Remote()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """In the place of Ray, which may be missing."""
    fake, exceptions = FakeRay(), ModuleType("ray.exceptions")
    vars(exceptions)["RayError"] = RayError
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)
    monkeypatch.setattr("framework_ray.config.find_spec", lambda name: object())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return fake


@pytest.fixture
def cluster(ray: FakeRay) -> Iterator[ModuleType]:
    """The module, which has imported that."""
    sys.modules.pop("framework_ray.cluster", None)
    yield importlib.import_module("framework_ray.cluster")
    sys.modules.pop("framework_ray.cluster")


def test_signals_stay_what_they_are(ray: FakeRay, cluster: ModuleType) -> None:
    """Ray's own handler ends a process in the midst of anything; and the cluster is left at the end."""
    before = signal.getsignal(signal.SIGTERM)
    with cluster.connected(RayConfig()):
        assert signal.getsignal(signal.SIGTERM) is before
    assert ray.calls == [{"address": "auto", "runtime_env": None}, "shutdown"]


def test_a_cluster_is_started_only_where_that_is_said(ray: FakeRay, cluster: ModuleType) -> None:
    """With what the pipeline says of its hosts."""
    with cluster.connected(RayConfig(address="local", runtime_env={"env_vars": {"A": "b"}})):
        pass
    assert ray.calls[0] == {"address": "local", "runtime_env": {"env_vars": {"A": "b"}}, "include_dashboard": False}


def test_the_environment_names_the_cluster(ray: FakeRay, cluster: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every Ray program; its clients' addresses are refused here too, by the name of the variable."""
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with cluster.connected(RayConfig()):
            assert ray.calls == [{"address": address, "runtime_env": None}]
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with (
        pytest.raises(RunError, match=r"^\$RAY_ADDRESS: http://127.0.0.1:8265 is for Ray's clients: give"),
        cluster.connected(RayConfig()),
    ):
        pass


def test_where_nothing_listens_ray_is_not_asked(ray: FakeRay, cluster: ModuleType) -> None:
    """It would try for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RunError, match=r"no Ray cluster is reached at '127\.0\.0\.1:"):
        cluster.connected(RayConfig(address=f"127.0.0.1:{port}")).__enter__()
    assert ray.calls == []


def test_what_ray_refuses_is_told(ray: FakeRay, cluster: ModuleType) -> None:
    """In its own words."""
    ray.refusal = ConnectionError("Could not find any running Ray instance")
    with (
        pytest.raises(RunError, match="no Ray cluster is reached at 'auto': Could not find any running Ray instance"),
        cluster.connected(RayConfig()),
    ):
        pass


def test_a_host_is_a_task(ray: FakeRay, cluster: ModuleType, tmp_path: Path) -> None:
    """Which Ray shows by the names of run and host, spreads, does not retry, and knows no token of."""
    (tmp_path / "token").write_text("fw1.secret")
    work = Work(4, 2, ("framework",), tmp_path / "token")
    engine = cluster.Cluster("pong", RayConfig(resources={"simulator": 1}), work)
    assert engine.submit("ray-3") == "task"
    ((options, (command, held)),) = ray.submitted
    assert options == {
        "name": "pong/ray-3",
        "num_cpus": 2.0,
        "resources": {"simulator": 1.0},
        "scheduling_strategy": "SPREAD",
        "max_retries": 0,
        "num_returns": "streaming",
    }
    assert command == ["framework", "sampler", "--join", "-", "--workers", "2", "--name", "ray-3"]
    assert held == [["reference", "fw1.secret"]]  # inside a list: else Ray would hand the task the object itself
    engine.cancel("task")
    assert ray.calls == [("cancel", "task")]


def test_news_are_what_tasks_yield(ray: FakeRay, cluster: ModuleType, tmp_path: Path) -> None:
    """The machine, then the exit code; or the last line of why Ray has lost it. Of others there are none."""
    (tmp_path / "token").touch()
    engine = cluster.Cluster("pong", RayConfig(), Work(4, 2, ("framework",), tmp_path / "token"))
    objects = [["node-7"], ["of another"], [75], ["of another"], [RayError("much\nThe node died.\n")], [], []]
    tasks = [iter(values) for values in objects]
    assert engine.news(tasks) == [
        (tasks[0], Started("node-7")),
        (tasks[2], Exited(75)),
        (tasks[4], Lost("The node died.")),
        (tasks[6], Lost("it ended without an exit code")),
    ]
    assert engine.news([]) == []

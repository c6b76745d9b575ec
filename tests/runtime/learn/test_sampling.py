import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_engine
import pytest
import tiny
from raw_peer import RawPeer

from framework.errors import RunError
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import fingerprints
from framework.runtime.data.shard import ShardState
from framework.runtime.launch.launch import Launch
from framework.runtime.launch.starter import SamplerExit
from framework.runtime.learn import sampling
from framework.runtime.learn.sampling import open_source
from framework.runtime.link import wire
from framework.runtime.link.address import host_and_port
from framework.runtime.link.inprocess import InProcess
from framework.runtime.link.keys import Keys
from framework.runtime.link.leases import Leases
from framework.runtime.link.listener import Listener
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted, Event, Source
from framework.runtime.rollout.worker import Worker


class FakeStarter:
    """Starts nothing, and writes down what it is told."""

    def __init__(self) -> None:
        self.started: queue.SimpleQueue[tuple[str, str, str, int]] = queue.SimpleQueue()
        self.closed = 0
        self.closing: Any = bool
        self._ended = threading.Event()

    def start(self, *arguments: Any) -> None:
        self.started.put(arguments)

    def exits(self, timeout: float) -> list[SamplerExit]:
        if self._ended.wait(timeout):
            raise ChildProcessError("closed")
        return []

    def close(self) -> None:
        self._ended.set()
        self.closed += 1
        self.closing()


@pytest.fixture
def starter() -> FakeStarter:
    return FakeStarter()


def load(folder: Path, **overrides: Any) -> Pipeline:
    return tiny.load(folder, **{"runtime__samplers": 2} | overrides)


def accepted(source: Source) -> Accepted:
    """The next trajectory."""
    for _ in range(100):
        if isinstance(news := source.receive(0.1), Accepted):
            return news
    raise AssertionError("no trajectory")


# In this process.


def test_without_a_starter_the_worker_collects(tmp_path: Path) -> None:
    """All shards of the pipeline, as far ahead as its lag allows."""
    pipeline = load(tmp_path, sampling__policy_lag=1)
    with open_source(pipeline, Path("run-7"), {}, Worker(pipeline), None, "") as source:
        assert isinstance(source, InProcess)
        source.publish(0, {"weights": tiny.weights(0.0)})
        collected = [accepted(source).trajectory for _ in range(4)]
        assert [(trajectory.shard, trajectory.number) for trajectory in collected] == [(0, 0), (1, 0), (0, 1), (1, 1)]
        with pytest.raises(RunError, match="nothing to collect"):
            source.receive(0.0)


def test_shards_go_on_where_they_were(tmp_path: Path) -> None:
    """From the states that are given."""
    pipeline, states = load(tmp_path, sampling__policy_lag=0), dict[int, ShardState]()
    worker = Worker(pipeline)
    for number in range(3):
        with open_source(pipeline, Path("run-7"), states, worker, None, "") as source:
            for version in range(number + 1):
                source.publish(version, {"weights": tiny.weights(0.0)})
            for shard in (0, 1):
                news = accepted(source)
                assert (news.trajectory.shard, news.trajectory.number) == (shard, number)
                states[shard] = news.state


@pytest.mark.parametrize(("lag", "granted"), [(0, 2), (2, 6), ("free", 4)])
def test_the_lag_is_that_of_the_pipeline(tmp_path: Path, lag: Any, granted: int) -> None:
    """Or free, where two trajectories of each shard may be granted or wait to be learned from."""
    pipeline = load(tmp_path, sampling__policy_lag=lag)
    with open_source(pipeline, Path("run-7"), {}, Worker(pipeline), None, "") as source:
        source.publish(0, {"weights": tiny.weights(0.0)})
        for _ in range(granted):
            accepted(source)
        with pytest.raises(RunError, match="nothing to collect"):
            source.receive(0.0)


# With samplers.


def test_with_a_starter_samplers_are_started(tmp_path: Path, starter: FakeStarter) -> None:
    """As many as the pipeline has, for this run, at the endpoint where the server listens."""
    pipeline = load(tmp_path, runtime__samplers=3)
    endpoint = f"ipc://{tmp_path}/link"
    with open_source(pipeline, Path("run-7"), {}, Worker(pipeline), starter, endpoint) as source:
        assert isinstance(source, Server)
        started = [starter.started.get(timeout=10) for _ in range(3)]
    assert started == [(endpoint, "run-7", f"sampler-{number}", 0) for number in range(3)]
    assert starter.closed == 1


def test_samplers_are_let_in_with_the_pipeline(tmp_path: Path, starter: FakeStarter) -> None:
    """Those that send the arrays of the worker and have its components get its pipeline and its work."""
    pipeline = load(tmp_path)
    worker = Worker(pipeline)
    endpoint = f"ipc://{tmp_path}/link"
    with open_source(pipeline, Path("run-7"), {}, worker, starter, endpoint) as source, RawPeer(endpoint) as peer:
        source.publish(0, {"weights": tiny.weights(0.0)})
        values, folder = peer.join(worker.specification.fingerprint, fingerprints(pipeline), "run-7")
        assert Pipeline.from_plain(values, Path(folder)).to_plain() == pipeline.to_plain()
        assert folder == str(tmp_path)
        news = source.receive(10.0)
        assert isinstance(news, Event)
        assert news.name == "sampler_joined"
        assert peer.receive().type == "weights"
        directive = peer.receive()
        assert (directive.type, directive["shard"], directive["number"]) == ("directive", 0, 0)
        worker.keep(0, {"weights": tiny.weights(0.0)})
        worker.restore(0, None)
        trajectory = worker.collect(0, 0, 0)
        fields = {"shard": 0, "number": 0, "version": 0}
        peer.send("trajectory", trajectory.arrays, **fields, timing=[0.0, 0.0, 0.0])
        news = accepted(source)
        assert news.state.number == 1


def test_samplers_that_differ_are_not(tmp_path: Path, starter: FakeStarter) -> None:
    """A worker with other arrays or components would collect something else."""
    pipeline = load(tmp_path)
    worker = Worker(pipeline)
    wrong = ("0" * 32, fingerprints(pipeline)), (worker.specification.fingerprint, {})
    endpoint = f"ipc://{tmp_path}/link"
    with open_source(pipeline, Path("run-7"), {}, worker, starter, endpoint):
        for specification, components in wrong:
            with RawPeer(endpoint) as peer:
                peer.join(specification, components, "run-7")
                assert peer.receive().type == "reject"


def test_samplers_end_before_the_link(tmp_path: Path, starter: FakeStarter) -> None:
    """While the starter ends them, what they still say is heard; only then are those left told to stop."""
    pipeline = load(tmp_path)
    worker = Worker(pipeline)
    endpoint = f"ipc://{tmp_path}/link"
    messages: list[wire.Message] = []
    with RawPeer(endpoint) as peer:

        def closing() -> None:
            peer.join(worker.specification.fingerprint, fingerprints(pipeline), "run-7")
            messages.append(peer.receive())

        starter.closing = closing
        with open_source(pipeline, Path("run-7"), {}, worker, starter, endpoint) as source:
            source.publish(0, {"weights": tiny.weights(0.0)})
            assert messages == []
    assert [message.type for message in messages] == ["weights"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunError("an update failed")], ids=["interrupt", "error"])
def test_everything_is_closed_whatever_happens(tmp_path: Path, starter: FakeStarter, error: BaseException) -> None:
    """The endpoint is free for the next run, and the error is raised as it was."""
    pipeline = load(tmp_path)
    worker = Worker(pipeline)
    endpoint = f"ipc://{tmp_path}/link"
    for _ in range(2):
        with (
            pytest.raises(type(error)) as caught,
            open_source(pipeline, Path("run-7"), {}, worker, starter, endpoint) as source,
        ):
            raise error
        assert caught.value is error
        assert isinstance(source, Server)
        assert not source._thread.is_alive()
    assert starter.closed == 2


def test_the_link_is_closed_where_samplers_cannot_be_ended(tmp_path: Path, starter: FakeStarter) -> None:
    """No thread of a run that is over stays behind."""

    def fail() -> None:
        raise OSError("no such process")

    starter.closing = fail
    pipeline = load(tmp_path)
    with (
        pytest.raises(OSError, match="no such process"),
        open_source(pipeline, Path("run-7"), {}, Worker(pipeline), starter, f"ipc://{tmp_path}/link") as source,
    ):
        pass
    assert isinstance(source, Server)
    assert not source._thread.is_alive()


# With samplers that an engine keeps at work.


@pytest.fixture
def engine() -> Iterator[None]:
    with fake_engine.forgotten():
        yield


class Launched:
    """A run whose pipeline names a launcher, and what opens its source."""

    def __init__(self, folder: Path, **overrides: Any):
        launcher = {"use": fake_engine.USE, "samplers": 6, "workers": 2}
        self.pipeline = load(folder, runtime__launcher=launcher, runtime__listen="127.0.0.1:0", **overrides)
        self.directory = folder / "run-7"
        self.directory.mkdir()
        self.worker = Worker(self.pipeline)

    def open(self, starter: FakeStarter | None = None) -> Any:
        listener = Listener("127.0.0.1:0", self.directory, lambda file, endpoint: None)
        endpoint = f"ipc://{self.directory}/link"
        return open_source(self.pipeline, self.directory, {}, self.worker, starter, endpoint, listener)


@pytest.mark.usefixtures("engine")
def test_a_launch_is_started_once_the_run_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that are at work at once find it; the record has who was launched."""
    run = Launched(tmp_path)
    reached = []
    start = fake_engine.Engine.start

    def connect(self: Any, work: Any) -> None:
        host, port = host_and_port(Keys(run.directory).endpoints[0])
        socket.create_connection((host, port), timeout=5).close()
        reached.append(work)
        start(self, work)

    monkeypatch.setattr(fake_engine.Engine, "start", connect)
    with run.open() as source:
        assert fake_engine.calls == [("start", 3)]
        assert [(work.hosts, work.workers) for work in reached] == [(3, 2)]
        assert source.receive(5.0) == Event("launched", {"launcher": fake_engine.USE, "samplers": 6})
        assert (run.directory / "launch").is_dir()


@pytest.mark.usefixtures("engine")
def test_a_launch_is_stopped_after_the_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that hosts hear that the run is done, and need not be ended; nothing of it is left."""
    run = Launched(tmp_path)
    alive = []
    monkeypatch.setattr(fake_engine.Engine, "stop", lambda self: alive.append(source._thread.is_alive()))
    with run.open() as source:
        assert alive == []
    assert alive == [False]
    assert list((run.directory / "launch").iterdir()) == []


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("local", "expected"), [(0, 6), (2, 8)])
def test_the_samplers_of_a_launch_are_expected(
    tmp_path: Path, starter: FakeStarter, monkeypatch: pytest.MonkeyPatch, local: int, expected: int
) -> None:
    """Beside those of this machine: work is spread over all of them, also before they have joined."""
    run = Launched(tmp_path, runtime__samplers=local)
    given = []

    def leases(*arguments: Any, **options: Any) -> Leases:
        given.append(options["expected"])
        return Leases(*arguments, **options)

    monkeypatch.setattr(sampling, "Leases", leases)
    with run.open(starter if local else None):
        assert given == [expected]


@pytest.mark.usefixtures("engine")
def test_samplers_need_not_have_the_launcher(tmp_path: Path) -> None:
    """The pipeline that they get names none."""
    run = Launched(tmp_path)
    with run.open(), RawPeer(f"ipc://{run.directory}/link") as peer:
        values, _ = peer.join(run.worker.specification.fingerprint, fingerprints(run.pipeline), "run-7")
    assert "launcher" not in values["runtime"]


@pytest.mark.usefixtures("engine")
def test_where_the_engine_refuses_the_run_ends(tmp_path: Path) -> None:
    """With its reason, and everything that was opened is closed."""
    run = Launched(tmp_path)
    fake_engine.raises["start"] = RunError("the queue is full")
    for _ in range(2):
        with pytest.raises(RunError, match="the queue is full"), run.open():
            raise AssertionError("it is open")
    assert list((run.directory / "launch").iterdir()) == []


@pytest.mark.usefixtures("engine")
def test_a_launch_that_goes_on_from_before_is_kept(tmp_path: Path) -> None:
    """That of a learner that was killed; where its options are others it is left alone, and the run ends."""
    run = Launched(tmp_path)
    Keys(run.directory, create=True).listening(["tcp://192.0.2.1:5555"])
    before = {"use": fake_engine.USE, "samplers": 6, "workers": 2}
    Launch(run.directory, before | {"zone": "there"}, "launcher", tmp_path).start()
    with pytest.raises(RunError, match="has a launch by fake_engine:Engine with other options"), run.open():
        raise AssertionError("it is open")
    assert fake_engine.calls == [("start", 3)]
    Launch(run.directory, before | {"zone": "there"}, "launcher", tmp_path).stop()
    Launch(run.directory, before, "launcher", tmp_path).start()
    fake_engine.calls.clear()
    with run.open():
        assert fake_engine.calls == [("status", 0), ("scale", 3)]
    assert fake_engine.calls[2:] == [("stop", 0)]

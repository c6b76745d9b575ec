import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trajectories
from dispatching import COMPONENTS
from listening import Learner
from processes import wait_for
from raw_host import RawHost
from raw_peer import RawPeer

from framework.errors import RunError
from framework.runtime.data.fingerprint import versions
from framework.runtime.data.specification import Specification
from framework.runtime.link import wire
from framework.runtime.link.admission import Admission
from framework.runtime.link.leases import Leases
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted, Event, Failure

SPECIFICATION = Specification(trajectories.make(steps=1), 4)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    admission = Admission("run", {}, str(tmp_path), versions(), COMPONENTS, SPECIFICATION)
    server = Server(f"ipc://{tmp_path}/link", Leases(1, 1), admission, 1)
    server.publish(0, {"weights": np.zeros(8, np.uint8)})
    yield server
    server.close()


@pytest.fixture
def peer(server: Server) -> Iterator[RawPeer]:
    with RawPeer(server.endpoint) as connected:
        yield connected


def join(peer: RawPeer) -> None:
    """Be let in, and ready."""
    peer.join(SPECIFICATION.fingerprint, COMPONENTS)


def deliver(peer: RawPeer, number: int) -> None:
    fields = {"shard": 0, "number": number, "version": 0}
    peer.send("trajectory", trajectories.make(number=number).arrays, **fields, timing=[0.0, 0.0, 0.0])


def accepted(server: Server) -> Accepted:
    """The next trajectory."""
    for _ in range(100):
        if isinstance(news := server.receive(0.1), Accepted):
            return news
    raise AssertionError("no trajectory")


def test_trajectories_arrive(server: Server, peer: RawPeer) -> None:
    """Through the socket, in order, and acknowledged."""
    join(peer)
    assert [peer.receive().type for _ in range(2)] == ["weights", "directive"]
    deliver(peer, 0)
    assert accepted(server).trajectory.number == 0
    assert {peer.receive().type for _ in range(2)} == {"directive", "acknowledge"}


def test_what_a_sampler_has_sent_counts_before_its_departure(server: Server, peer: RawPeer) -> None:
    """However late the thread comes to read it."""
    join(peer)
    peer.receive()
    busy = threading.Event()
    server._mailbox.command(busy.wait)  # type: ignore[arg-type]
    deliver(peer, 0)
    delivered: list[Any] = []
    asking = threading.Thread(target=lambda: delivered.append(server.depart("sampler-0", 0, -9)))
    asking.start()
    peer._socket.poll(100)
    busy.set()
    asking.join()
    assert delivered == [(1, False)]


def test_news_of_others_are_passed_on(server: Server) -> None:
    """In their order; a failure is raised."""
    server.announce(Event("sampler_lost", {}), Failure("no more samplers"))
    assert server.receive(1.0) == Event("sampler_lost", {})
    with pytest.raises(RunError, match="no more samplers"):
        server.receive(1.0)


def test_silence_is_none(server: Server) -> None:
    """`Server.receive` gives None where there are no news in time."""
    assert server.receive(0.01) is None


def test_an_error_in_the_thread_ends_the_run(server: Server) -> None:
    """It is told once, and afterwards neither news nor answers are waited for in vain."""

    def fail() -> None:
        raise KeyError("the cause")

    server._mailbox.command(fail)
    with pytest.raises(RunError, match="the link failed: KeyError: 'the cause'"):
        server.receive(5.0)
    with pytest.raises(RunError, match="the link's thread has ended"):
        server.receive(0.01)
    with pytest.raises(RunError, match="the link's thread has ended"):
        server.depart("sampler-0", 0, -9)


def test_a_peer_that_closed_its_socket_is_noticed(tmp_path: Path) -> None:
    """Its connection, and after the grace the peer: what it held is another's."""
    admission = Admission("run", {}, str(tmp_path), versions(), COMPONENTS, SPECIFICATION)
    server = Server(f"ipc://{tmp_path}/link", Leases(1, 1), admission, 1, grace=0.5)
    server.publish(0, {"weights": np.zeros(8, np.uint8)})
    with RawPeer(server.endpoint) as gone:
        join(gone)
        assert [gone.receive().type for _ in range(2)] == ["weights", "directive"]
    with RawPeer(server.endpoint) as heir:
        join(heir)
        while heir.receive().type != "directive":
            pass
    names = []
    while (news := server.receive(0.0)) is not None:
        assert isinstance(news, Event)
        names.append(news.name)
    assert names[0] == "sampler_joined"
    assert sorted(names[1:]) == ["sampler_disconnected", "sampler_gone", "sampler_joined"]
    server.close()


def test_closing_tells_samplers_to_stop(server: Server, peer: RawPeer) -> None:
    """Those that have joined."""
    join(peer)
    assert [peer.receive().type for _ in range(2)] == ["weights", "directive"]
    server._mailbox.command(server._stop)
    assert [peer.receive().type for _ in range(2)] == ["directive", "stop"]


def test_hosts_are_heard_until_they_have_left(tmp_path: Path) -> None:
    """A connection that is closed while the other end still sends loses what was said last."""
    learner = Learner(tmp_path)
    with RawHost(learner.token) as host:
        host.enter()
        learner.server.complete()
        closing = threading.Thread(target=learner.close)
        closing.start()
        assert host.receive().type == "stop"
        host.send("echo", {"bytes": np.zeros(wire.ECHO_LIMIT, np.uint8)}, number=0)
        assert host.receive().type == "echo"
        assert closing.is_alive()
        host.send("leave")
        wait_for(lambda: not closing.is_alive())


def test_hosts_that_do_not_leave_are_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor those whose connection is lost."""
    monkeypatch.setattr("framework.runtime.link.server._PARTING", 0.2)
    learner = Learner(tmp_path)
    with RawHost(learner.token) as host:
        host.enter()
    learner.server.complete()
    learner.close()

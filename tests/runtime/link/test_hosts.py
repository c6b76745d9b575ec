import pytest

from framework.runtime.link.hosts import QUARANTINE_AFTER, SAMPLER_LIMIT, STUCK, Host, Hosts
from framework.runtime.link.wire import ProtocolError


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


def make(name: str = "box", session: str = "a", samplers: int = 2) -> Host:
    return Host(session, name, 7, "join", samplers)


def test_a_host_has_one_connection(hosts: Hosts) -> None:
    """The last one; what it was sent over the one before and has not confirmed may be lost."""
    host = make()
    hosts.connect(host, b"first")
    host.versions, host.unconfirmed = {1, 2, 3}, {3}
    hosts.connect(host, b"second")
    assert (hosts.of_peer(b"first"), hosts.of_peer(b"second")) == (None, host)
    assert (host.versions, host.unconfirmed) == ({1, 2}, set())
    assert list(hosts) == [host]


def test_a_host_outlives_its_connection(hosts: Hosts) -> None:
    """It is found by its session, and remembers since when it has none."""
    host = make()
    hosts.connect(host, b"peer")
    hosts.disconnect(host, 7.0)
    hosts.disconnect(host, 8.0)
    assert (host.peer, host.lost) == (None, 7.0)
    assert hosts.get("a") is host
    hosts.forget(host)
    assert (hosts.get("a"), hosts.namesake("box"), list(hosts)) == (None, None, [])


def test_names_are_given_once(hosts: Hosts) -> None:
    """The learner's own machine has one too."""
    assert hosts.free_name("learner") == "learner-2"
    for name in ("box", "box-2", "box-3"):
        host = make(hosts.free_name("box"), name)
        assert host.name == name
        hosts.connect(host, name.encode())
    assert hosts.namesake("box-2") is hosts.get("box-2")
    hosts.forget(hosts.get("box-2"))  # type: ignore[arg-type]
    assert hosts.free_name("box") == "box-2"


@pytest.mark.parametrize(("samplers", "allowed"), [(2, 4), (0, 0), (-3, 0), (10**9, 2 * SAMPLER_LIMIT)])
def test_a_host_has_no_more_samplers_than_it_says(samplers: int, allowed: int) -> None:
    """But for those that replace others; nor can it say that it has any number."""
    host = make(samplers=samplers)
    for _ in range(allowed):
        host.count_session()
    with pytest.raises(ProtocolError, match=f"a host of {samplers} samplers has {allowed + 1}"):
        host.count_session()


def test_losses_in_a_row_are_counted(hosts: Hosts) -> None:
    """By name, so that coming back as another does not end them; a delivery does."""
    host = make()
    for _ in range(QUARANTINE_AFTER - 1):
        assert not hosts.count_loss(host, 0)
    assert not hosts.count_loss(host, 1)
    for _ in range(QUARANTINE_AFTER - 1):
        assert not hosts.count_loss(make(session="b"), 0)
    assert hosts.count_loss(host, 0)
    assert hosts.quarantined("box")
    assert not hosts.quarantined("another")


def test_a_host_that_confirms_nothing_is_stuck() -> None:
    """For long, while it was sent something; any confirmation begins anew."""
    host = make()
    assert not host.stays_stuck(0.0)
    host.unconfirmed = {3, 4}
    assert [host.stays_stuck(now) for now in (100.0, 100.0 + STUCK)] == [False, False]
    assert host.stays_stuck(100.1 + STUCK)
    host.confirm(3)
    assert [host.stays_stuck(now) for now in (200.0, 200.0 + STUCK)] == [False, False]
    assert host.stays_stuck(200.1 + STUCK)
    host.confirm(4)
    assert not host.stays_stuck(900.0)

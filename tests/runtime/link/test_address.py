import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import RunError
from framework.runtime.link import address
from framework.runtime.link.address import LOOPBACK, host_and_port, interfaces, parse, reachable


@pytest.mark.parametrize(
    ("listen", "parsed"),
    [
        ("5555", (LOOPBACK, 5555)),
        ("0", (LOOPBACK, 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("*:5555", ("*", 5555)),
        ("192.0.2.1:5555", ("192.0.2.1", 5555)),
        ("[::]:5555", ("[::]", 5555)),
        ("[::1]:5555", ("[::1]", 5555)),
        ("[fe80::1%eth0]:5555", ("[fe80::1%eth0]", 5555)),
        ("localhost:5555", (LOOPBACK, 5555)),
    ],
)
def test_addresses_are_hosts_and_ports(listen: str, parsed: tuple[str, int]) -> None:
    """A port alone is this machine's; names become addresses, which ZeroMQ wants."""
    assert parse(listen) == parsed


@pytest.mark.parametrize("listen", ["", "box", "box:", ":5555", "65536", "box:99999", "::1:5555", "[::1]", "tcp://x:1"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    """With an example of one."""
    with pytest.raises(RunError) as caught:
        parse(listen)
    assert str(caught.value) == f"{listen!r} is no address to listen at: write HOST:PORT, such as 0.0.0.0:5555"


def test_unknown_hosts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their name."""

    def unknown(host: str) -> str:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    with pytest.raises(RunError, match="'nowhere:5555': no such host as nowhere"):
        parse("nowhere:5555")


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_names_that_no_host_can_have_are_told(host: str) -> None:
    """Python cannot even look for them."""
    with pytest.raises(RunError, match=f"no such host as {host}"):
        parse(f"{host}:5555")


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "[::]"])
def test_what_listens_everywhere_can_be_reached_at_every_interface(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """First at its addresses, then by its name, and last from itself; each is told once."""
    monkeypatch.setattr(address, "interfaces", lambda: ["192.0.2.1", "198.51.100.1", "192.0.2.1"])
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    names = ["192.0.2.1", "198.51.100.1", "box", LOOPBACK]
    assert reachable(host, 5555) == [f"tcp://{name}:5555" for name in names]


def test_what_listens_at_one_address_can_be_reached_there() -> None:
    """And nowhere else."""
    assert reachable("192.0.2.1", 5555) == ["tcp://192.0.2.1:5555"]
    assert reachable("[::1]", 5555) == ["tcp://[::1]:5555"]


def test_interfaces_are_addresses_of_this_machine() -> None:
    """One can listen at each of them; loopback is left out."""
    for host in interfaces():
        assert not host.startswith("127.")
        with socket.socket() as listening:
            listening.bind((host, 0))


def test_interfaces_without_an_address_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system says so of each with an error."""
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "no-such-interface")])
    assert interfaces() == []


@settings(derandomize=True, deadline=None, database=None)
@given(st.sampled_from(["box", "192.0.2.1", "::1", "fe80::1%eth0"]), st.integers(0, 65535))
def test_endpoints_are_taken_apart(host: str, port: int) -> None:
    """Brackets are none of the host."""
    endpoint = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
    assert host_and_port(endpoint) == (host, port)

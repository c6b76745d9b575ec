import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from guarding import dealer

from framework.errors import RunError
from framework.runtime.link import listener as module
from framework.runtime.link.address import host_and_port
from framework.runtime.link.keys import FIRST
from framework.runtime.link.listener import Listener
from framework.runtime.link.token import JoinToken


class Listening:
    """A listener, its socket, and what it has told."""

    def __init__(self, address: str, directory: Path):
        self.told: list[tuple[Path | None, str]] = []
        self.listener = Listener(address, directory, lambda file, endpoint: self.told.append((file, endpoint)))
        self._context = zmq.Context()
        self.router = self._context.socket(zmq.ROUTER)
        self.router.linger = 0
        self.router.bind(f"ipc://{directory}/link")
        try:
            self.listener.bind(self._context, self.router)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the address."""
        self.listener.close()
        self._context.destroy(linger=0)

    def key_of_next(self) -> str:
        """The key that the next message came with."""
        assert self.router.poll(10_000)
        return self.listener.key_of(self.router.recv_multipart(copy=False)[-1])


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    with closing(Listening("0", tmp_path)) as opened:
        yield opened


@contextmanager
def joined(token: JoinToken) -> Iterator[zmq.Socket[Any]]:
    """A socket with the key of a token, which has sent a message."""
    pair = token.public.encode(), token.secret.encode()
    with dealer(token.endpoints[0], token.server.encode(), pair) as connected:
        connected.send(b"message")
        yield connected


def test_a_token_is_all_that_it_takes(listening: Listening, tmp_path: Path) -> None:
    """It is in the file that is told of, with the place where the learner listens."""
    ((file, endpoint),) = listening.told
    assert file == tmp_path / FIRST
    token = JoinToken.read(str(file))
    assert (token.run, token.endpoints) == (tmp_path.name, (endpoint,))
    with joined(token):
        assert listening.key_of_next() == FIRST


def test_messages_tell_their_keys(listening: Listening, tmp_path: Path) -> None:
    """By name, each its own; those of this machine have none."""
    for name in ("mine", "yours"):
        with joined(listening.listener.keys.issue(name)):
            assert listening.key_of_next() == name
    with dealer(f"ipc://{tmp_path}/link") as local:
        local.send(b"message")
        assert listening.key_of_next() == ""


def test_a_revoked_key_is_kept_out(listening: Listening) -> None:
    """From the moment that it is; the connection that is there says still which key it has."""
    keys = listening.listener.keys
    token = keys.issue("lent")
    with joined(token) as member:
        assert listening.key_of_next() == "lent"
        keys.revoke("lent")
        with joined(token):
            assert not listening.router.poll(250)
        member.send(b"message")
        assert listening.key_of_next() == "lent"


def test_changed_keys_are_noticed(listening: Listening) -> None:
    """Once for each change."""
    assert not listening.listener.keys_changed()
    listening.listener.keys.issue()
    assert [listening.listener.keys_changed() for _ in range(2)] == [True, False]


def test_any_port_is_the_same_one_again(tmp_path: Path) -> None:
    """Hosts come back to where a run that is resumed has listened before; where that is taken, to another one."""
    endpoints = []
    for _ in range(2):
        with closing(Listening("0", tmp_path)) as opened:
            endpoints.append(opened.told[0][1])
            before = JoinToken.read(str(tmp_path / FIRST))
    assert endpoints[0] == endpoints[1]
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(host_and_port(endpoints[0]))
        thief.listen()
        with closing(Listening("0", tmp_path)) as opened:
            assert opened.told[0][1] != endpoints[0]
            after = JoinToken.read(str(tmp_path / FIRST))
    assert after.public == before.public
    assert after.endpoints == (opened.told[0][1],)


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    """With what to do; the keys of a run that did not listen are no harm to it."""
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        port = thief.getsockname()[1]
        with pytest.raises(RunError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use.*; choose an"):
            Listening(f"127.0.0.1:{port}", tmp_path)
    with closing(Listening(str(port), tmp_path)) as opened:
        assert opened.told[0][1] == f"tcp://127.0.0.1:{port}"


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    """With what to do: there is nothing to listen with."""
    with pytest.raises(RunError, match=r"cannot listen at 203\.0\.113\.77:0: .*; name an address of this machine"):
        Listening("203.0.113.77:0", tmp_path)


def test_a_bad_address_makes_no_keys(tmp_path: Path) -> None:
    """It is looked at first."""
    with pytest.raises(RunError, match="no address to listen at"):
        Listener("here", tmp_path, lambda file, endpoint: None)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_safe_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everybody would be let in nobody is told of the place."""
    monkeypatch.setattr(module.Keys, "name_of", lambda keys, public: "anybody")
    with pytest.raises(RunError, match="does not refuse who has no key"):
        Listening("0", tmp_path)
    assert not (tmp_path / FIRST).exists()


def ipv6() -> bool:
    """Whether this machine has IPv6, at least with itself."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")
def test_addresses_may_be_ipv6_s(tmp_path: Path) -> None:
    """Strangers are kept out there too, and who has a key is not."""
    with closing(Listening("[::1]:0", tmp_path)) as opened:
        token = JoinToken.read(str(tmp_path / FIRST))
        assert token.endpoints[0].startswith("tcp://[::1]:")
        with joined(token):
            assert opened.key_of_next() == FIRST


def test_everywhere_is_here_too(tmp_path: Path) -> None:
    """What listens at every interface is checked over loopback, and the token has that last."""
    with closing(Listening("0.0.0.0:0", tmp_path)) as opened:
        token = JoinToken.read(str(tmp_path / FIRST))
        assert token.endpoints[0] == opened.told[0][1]
        host, port = host_and_port(token.endpoints[-1])
        assert host == "127.0.0.1"
        with joined(opened.listener.keys.issue(endpoint=f"tcp://127.0.0.1:{port}")):
            assert opened.key_of_next() == "join-2"


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_keys_that_cannot_be_read_let_nobody_in_and_end_nothing(listening: Listening, damage: str) -> None:
    """Those who are in stay; nobody is let in until the keys are there again."""
    listener = listening.listener
    assert listener.admit(FIRST, "a session") is None
    path = listener.keys.directory / "keys.json"
    text = path.read_text()
    token = listener.keys.issue("late")
    path.unlink() if damage == "missing" else path.write_text("{")
    assert listener.admit(FIRST, "another session") == "the learner cannot read its keys"
    assert listener.revoked(FIRST, "a session") is None
    listener.keys_changed()
    with dealer(token.endpoints[0], token.server.encode(), (token.public.encode(), token.secret.encode())) as stranger:
        stranger.send(b"message")
        assert not listening.router.poll(200)
    path.write_text(text)
    assert listener.admit(FIRST, "another session") is None

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from guarding import PAIR, dealer, guarded

from framework.errors import RunError
from framework.runtime.link import curve
from framework.runtime.link.curve import (
    Guard,
    check_nobody_passes_without_guard,
    check_strangers_are_refused,
    require_keys,
)

#: Milliseconds in which a message would have come.
BRIEFLY = 250


def anybody(public: str) -> bool:
    """Lets everybody in."""
    return True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gets no answer is not waited for as long as on a network."""
    monkeypatch.setattr(curve, "_PATIENCE", BRIEFLY)


def passes(router: zmq.Socket[Any], socket: zmq.Socket[Any], milliseconds: int = BRIEFLY) -> bool:
    """Whether a message of a socket reaches the router."""
    socket.send(b"message", zmq.DONTWAIT)
    return bool(router.poll(milliseconds))


def test_those_who_are_known_are_let_in() -> None:
    """Under their public key, which the guard is asked about and every message tells; others are not."""
    asked: list[str] = []

    def known(public: str) -> bool:
        asked.append(public)
        return public.encode() == PAIR[0]

    with guarded(known) as (guard, router, endpoint, server):
        assert guard.alive
        with dealer(endpoint, server) as friend:
            assert passes(router, friend, 10_000)
            message = router.recv_multipart(copy=False)[-1]
            assert (message.bytes, str(message.get("User-Id")).encode()) == (b"message", PAIR[0])
        with dealer(endpoint, server, zmq.curve_keypair()) as stranger:
            assert not passes(router, stranger)
    assert asked[0].encode() == PAIR[0]
    assert len(asked) > 1


def test_another_server_gets_no_message() -> None:
    """Whoever listens at the address: a client talks to the owner of the key that it was told, and to no other."""
    with guarded(anybody) as (_, router, endpoint, _), dealer(endpoint, zmq.curve_keypair()[0]) as client:
        assert not passes(router, client)


def test_who_has_no_keys_gets_nothing_over_tcp(tmp_path: Path) -> None:
    """While the same socket, where it was bound to a file before, serves this machine without any."""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context:
        guard = Guard(context, anybody)
        with context.socket(zmq.ROUTER) as router:
            router.linger = 0
            router.bind(f"ipc://{tmp_path}/link")
            require_keys(router, secret)
            endpoint = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"
            with dealer(endpoint) as stranger:
                assert not passes(router, stranger)
            with dealer(f"ipc://{tmp_path}/link") as local:
                assert passes(router, local, 10_000)
                peer, message = router.recv_multipart()
                router.send_multipart([peer, message])
                assert local.poll(10_000)
            with dealer(endpoint, public) as friend:
                assert passes(router, friend, 10_000)
            guard.close()


def close(guard: Guard) -> None:
    guard.close()


def die(guard: Guard) -> None:
    """Have the guard's thread end; its socket, which ZeroMQ asks, stays open."""
    guard._authenticator.pipe.send(b"TERMINATE")
    guard._authenticator.thread.join()
    assert not guard._authenticator.zap_socket.closed


@pytest.mark.parametrize("end", [close, die])
def test_without_its_guard_nobody_is_let_in(end: Callable[[Guard], None]) -> None:
    """Who is in stays; but who comes then is not answered, whatever keys it has."""
    with guarded(anybody) as (guard, router, endpoint, server), dealer(endpoint, server) as member:
        assert passes(router, member, 10_000)
        router.recv_multipart()
        end(guard)
        assert not guard.alive
        with dealer(endpoint, server) as late:
            assert not passes(router, late)
        assert passes(router, member, 10_000)


def test_a_guard_that_fails_lets_nobody_in() -> None:
    """Where the keys cannot be read, say; it is asked again when somebody else comes."""
    asked = threading.Semaphore(0)
    broken = True

    def known(public: str) -> bool:
        asked.release()
        if broken:
            raise RunError("damaged")
        return True

    with guarded(known) as (guard, router, endpoint, server):
        with dealer(endpoint, server) as client:
            assert not passes(router, client)
            assert asked.acquire(timeout=10)
        broken = False
        with dealer(endpoint, server) as client:
            assert passes(router, client, 10_000)
        assert guard.alive


@pytest.mark.parametrize("answer", [False, None, 0])
def test_strangers_are_refused(answer: Any) -> None:
    """And the check of it passes."""
    with guarded(lambda public: answer) as (_, _, endpoint, server):
        check_strangers_are_refused(endpoint, server)


def test_a_server_that_lets_everybody_in_is_noticed() -> None:
    """By the check, which names the place."""
    with guarded(anybody) as (_, _, endpoint, server):  # noqa: SIM117
        with pytest.raises(RunError, match=f"{endpoint} does not refuse who has no key: it is not safe"):
            check_strangers_are_refused(endpoint, server)


def test_silence_is_no_refusal() -> None:
    """Nothing listens there, or something else does: what was not refused is not safe."""
    with guarded(anybody) as (guard, _, endpoint, server):
        die(guard)
        with pytest.raises(RunError, match="does not refuse who has no key"):
            check_strangers_are_refused(endpoint, server)
    with pytest.raises(RunError, match="does not refuse who has no key"):
        check_strangers_are_refused(endpoint, server)


def test_this_build_of_zeromq_is_safe() -> None:
    """A server whose guard has died keeps everybody out."""
    check_nobody_passes_without_guard()


def test_a_build_of_zeromq_that_lets_everybody_in_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every one does without `ZAP_ENFORCE_DOMAIN`."""

    def careless(socket: zmq.Socket[Any], secret: bytes) -> None:
        require_keys(socket, secret)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 0)

    monkeypatch.setattr(curve, "require_keys", careless)
    with pytest.raises(RunError, match=f"libzmq {zmq.zmq_version()} does not keep out who has no key"):
        check_nobody_passes_without_guard()


def test_a_guard_that_lets_nobody_in_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check would say nothing about one that keeps everybody out anyway."""
    monkeypatch.setattr(Guard, "callback", lambda guard, domain, key: False)
    with pytest.raises(RunError, match="it is not safe to listen"):
        check_nobody_passes_without_guard()


def test_strangers_write_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """However often they knock."""
    with guarded(lambda public: False) as (_, router, endpoint, server):
        for pair in (PAIR, zmq.curve_keypair()):
            with dealer(endpoint, server, pair) as stranger:
                assert not passes(router, stranger, 100)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")

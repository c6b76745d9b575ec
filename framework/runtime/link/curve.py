"""The guard of a learner that listens on a network: CURVE (https://rfc.zeromq.org/spec/26), and who has a join key.

Every connection is encrypted, each side proves its key to the other before any message passes, and ZeroMQ asks the
guard (ZAP, https://rfc.zeromq.org/spec/27) whether a key is one of the run's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from framework.errors import RunError
from framework.runtime.link.address import LOOPBACK

#: The one domain that keys are valid for; without one a ZeroMQ server lets anybody in.
_DOMAIN = "framework"
#: Milliseconds that a connection has to prove its key; and that the self-test waits for one that does not answer.
HANDSHAKE = 5000
_PATIENCE = 2000
_HANDSHAKES = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # who is not let in must not be able to fill a terminal
_log.propagate = False


class Guard:
    """Lets those connect to sockets of a context whose key ``known(public key)`` is true of.

    Where the guard is closed, or its thread has died, nobody can connect any more; connections that are there stay.
    """

    def __init__(self, context: zmq.Context[Any], known: Callable[[str], bool]):
        self._known = known
        self._authenticator = ThreadAuthenticator(context, log=_log)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(_DOMAIN, self)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the owner of this public key may connect: what the authenticator asks."""
        try:
            return self._known(key.decode())
        except Exception:  # the run's keys cannot be read: then nobody comes in
            return False

    @property
    def alive(self) -> bool:
        """Whether anybody can be let in."""
        return self._authenticator.is_alive()

    def close(self) -> None:
        """Let nobody in any more."""
        if not self.alive and self._authenticator.pipe is not None:  # to a thread that died `stop` would write for ever
            self._authenticator.pipe.close(linger=0)
            self._authenticator.pipe = None  # type: ignore[assignment]
        self._authenticator.stop()


def require_keys(socket: zmq.Socket[Any], secret: bytes) -> None:
    """Have a socket let in, from its next `bind` on, only those whom the guard of its context knows."""
    socket.setsockopt_string(zmq.ZAP_DOMAIN, _DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # else, without a guard, everybody is let in
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE)
    socket.curve_server = True
    socket.curve_secretkey = secret


def use_key(socket: zmq.Socket[Any], pair: tuple[bytes, bytes], server: bytes) -> None:
    """Have a socket connect with a pair of keys, to the server with this public key and to no other."""
    socket.curve_publickey, socket.curve_secretkey = pair
    socket.curve_serverkey = server


def check_strangers_are_refused(endpoint: str, server: bytes) -> None:
    """Raise `RunError` unless who has no key of the run is refused at ``endpoint``."""
    with zmq.Context() as context:
        if _lets_in(context, endpoint, server) is not False:
            raise RunError(f"{endpoint} does not refuse who has no key: it is not safe to listen there")


def check_nobody_passes_without_guard() -> None:
    """Raise `RunError` where a server without a guard would let anybody in, with this build of ZeroMQ."""
    if not _server_lets_in(guarded=True) or _server_lets_in(guarded=False):
        raise RunError(f"libzmq {zmq.zmq_version()} does not keep out who has no key: it is not safe to listen")


def _server_lets_in(guarded: bool) -> bool | None:
    """Whether a new server, with a guard who knows everybody or without any, lets a client in."""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, ExitStack() as opened:
        if guarded:
            opened.enter_context(closing(Guard(context, lambda key: True)))
        router = opened.enter_context(context.socket(zmq.ROUTER))
        router.linger = 0
        require_keys(router, secret)
        endpoint = f"tcp://{LOOPBACK}:{router.bind_to_random_port(f'tcp://{LOOPBACK}')}"
        return _lets_in(opened.enter_context(zmq.Context()), endpoint, public)


def _lets_in(context: zmq.Context[Any], endpoint: str, server: bytes) -> bool | None:
    """Whether a new key is let in at ``endpoint``; None where there is no answer."""
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        use_key(socket, zmq.curve_keypair(), server)
        socket.ipv6 = "[" in endpoint
        monitor = socket.get_monitor_socket(_HANDSHAKES)
        try:
            socket.connect(endpoint)
            if not monitor.poll(_PATIENCE):
                return None
            return bool(recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED)
        finally:
            socket.disable_monitor()
            monitor.close()  # which a context, when it ends, waits for

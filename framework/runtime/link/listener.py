"""A learner's listening on a network: with the keys of its run, and never without."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from framework.errors import RunError
from framework.runtime.link.address import host_and_port, parse, reachable
from framework.runtime.link.curve import (
    Guard,
    check_nobody_passes_without_guard,
    check_strangers_are_refused,
    require_keys,
)
from framework.runtime.link.keys import Keys

#: What the key of someone is called whose key is none of the run's.
_UNKNOWN = "?"


def _allow_connections() -> None:
    """Have connections as many as this process may: strangers', too, take a file descriptor for some seconds each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Listener:
    """Listens at ``address`` (``HOST:PORT``) for those who have a key of the run in ``directory``.

    Args:
        told: hears of the file with the join token, where there is one, and of the endpoint that most can reach.
    """

    def __init__(self, address: str, directory: Path, told: Callable[[Path | None, str], None]):
        self._host, self._port = parse(address)
        self._address = address
        self.keys = Keys(directory, create=True)
        self._told = told
        self._guard: Guard | None = None
        self._names: dict[str, str] = {}  # of keys, by their public halves
        self._stamp = 0

    def bind(self, context: zmq.Context[Any], router: zmq.Socket[Any]) -> None:
        """Have a socket listen. Raises `RunError` where it cannot, or where it would not be safe to."""
        _allow_connections()
        check_nobody_passes_without_guard()
        self._guard = Guard(context, lambda public: self.keys.name_of(public) is not None)
        public, secret = self.keys.server_pair
        require_keys(router, secret)
        router.ipv6 = self._host.startswith("[")
        port = self._bind(router)
        endpoints = reachable(self._host, port)
        check_strangers_are_refused(endpoints[-1], public)
        self._told(self.keys.listening(endpoints), endpoints[0])
        self._stamp = self.keys.stamp

    def _bind(self, router: zmq.Socket[Any]) -> int:
        """Listen at the port; where any will do, at the one that it was before, which hosts come back to."""
        before = [host_and_port(endpoint)[1] for endpoint in self.keys.endpoints[:1]] if not self._port else []
        for port in before:
            with suppress(zmq.ZMQError):
                router.bind(f"tcp://{self._host}:{port}")
                return port
        try:
            router.bind(f"tcp://{self._host}:{self._port or '*'}")
        except zmq.ZMQError as error:
            advice = "choose another port" if error.errno == zmq.EADDRINUSE else "name an address of this machine"
            raise RunError(f"cannot listen at {self._address}: {error.strerror}; {advice}") from None
        return host_and_port(router.getsockopt_string(zmq.LAST_ENDPOINT))[1]

    def key_of(self, frame: zmq.Frame) -> str:
        """The name of the join key that a message came with; empty for one of this machine."""
        try:
            public = str(frame.get("User-Id"))
        except zmq.ZMQError:
            return ""
        if public not in self._names:
            with suppress(RunError):  # nobody has a key while the keys cannot be read
                names = {client["public"]: name for name, client in self.keys.clients().items()}
                self._names[public] = names.get(public, _UNKNOWN)
        return self._names.get(public, _UNKNOWN)

    def admit(self, key: str, session: str) -> str | None:
        """See `framework.runtime.link.keys.Keys.admit`."""
        try:
            return self.keys.admit(key, session)
        except (RunError, OSError):
            return "the learner cannot read its keys"

    def revoked(self, key: str, session: str) -> str | None:
        """See `framework.runtime.link.keys.Keys.revoked`; while the keys cannot be read those stay who are in."""
        try:
            return self.keys.revoked(key, session)
        except RunError:
            self._stamp = 0  # they are looked at again
            return None

    def keys_changed(self) -> bool:
        """Whether keys may have been revoked since this was last asked."""
        before = self._stamp
        with suppress(OSError):
            self._stamp = self.keys.stamp
        return before != self._stamp

    def close(self) -> None:
        """Let nobody connect any more."""
        if self._guard is not None:
            self._guard.close()

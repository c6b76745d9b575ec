"""Stands for `measure.network.Network` where namespaces cannot be made: hosts on this machine, each behind a proxy.

Connections can be blocked, as where a cable is pulled; packets cannot be lost.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from attrs import evolve

from framework.runtime.link.address import LOOPBACK, host_and_port
from framework.runtime.link.token import JoinToken


class Proxied:
    """Machines by name, all of them this one; what hosts say to the learner passes through a thread of this process."""

    def __init__(self, names: Sequence[str]):
        self.addresses = dict.fromkeys(names, LOOPBACK)
        self.away: set[str] = set()  #: whose bytes do not pass, either way
        self._machines: dict[socket.socket, str] = {}  # of every socket
        self._partners: dict[socket.socket, socket.socket] = {}  # the other end of every connection
        self._targets: dict[socket.socket, tuple[str, int]] = {}  # of every socket that listens
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._closing = False

    def __enter__(self) -> Proxied:
        self._thread = threading.Thread(target=self._carry, name="proxies", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closing = True
        self._thread.join()
        for end in self._machines:
            end.close()
        self._selector.close()

    def inside(self, name: str, command: Sequence[str]) -> list[str]:
        """A command line that runs on a machine."""
        return list(command)

    def token(self, name: str, file: Path) -> Path:
        """The join file that a machine uses: it leads through its proxy."""
        token = JoinToken.read(str(file))
        listener = socket.create_server((LOOPBACK, 0))
        listener.setblocking(False)
        with self._lock:
            self._machines[listener] = name
            self._targets[listener] = host_and_port(token.endpoints[0])
            self._selector.register(listener, selectors.EVENT_READ)
        changed = file.with_name(f"join-{name}-{listener.getsockname()[1]}")
        changed.write_text(str(evolve(token, endpoints=(f"tcp://{LOOPBACK}:{listener.getsockname()[1]}",))))
        return changed

    def _carry(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(0.02):
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if self._machines.get(end) in self.away:
                    continue  # what is not read waits
                with self._lock:
                    self._accept(end) if end in self._targets else self._pass_on(end)
            if self.away:
                threading.Event().wait(0.02)  # else what waits is looked at over and over

    def _accept(self, listener: socket.socket) -> None:
        end, _ = listener.accept()
        try:
            partner = socket.create_connection(self._targets[listener], timeout=1.0)
        except OSError:
            end.close()
            return
        for one, other in ((end, partner), (partner, end)):
            self._machines[one], self._partners[one] = self._machines[listener], other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, end: socket.socket) -> None:
        partner = self._partners.get(end)
        if partner is None:
            return
        data = b""
        with suppress(OSError):
            data = end.recv(2**18)
            partner.settimeout(5.0)
            partner.sendall(data)
        if not data:
            for one in (end, partner):
                self._selector.unregister(one)
                self._machines.pop(one), self._partners.pop(one)
                one.close()

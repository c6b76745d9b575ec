"""The learner's end of the link: a thread with the ROUTER socket that every sampler and host connects to.

The thread owns the socket and the dispatcher; the learner talks to it through a mailbox, and takes what it accepted
from a queue of news.
"""

from __future__ import annotations

import math
import queue
import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import zmq

from framework.errors import RunError
from framework.plugins import describe
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.link import wire
from framework.runtime.link.admission import Admission
from framework.runtime.link.dispatcher import Dispatcher
from framework.runtime.link.endpoint import HEARTBEAT, HEARTBEAT_TIMEOUT, OVERHEAD
from framework.runtime.link.leases import Leases
from framework.runtime.link.mailbox import Mailbox
from framework.runtime.link.membership import no_keys
from framework.runtime.link.sessions import Way
from framework.runtime.link.source import Accepted, Event, Failure, News

if TYPE_CHECKING:
    from framework.runtime.link.listener import Listener

_TICK = 0.25  # seconds
_LOOK = 1.0  # seconds after which connections are looked after again
#: Messages that are received in a row: whoever floods the link must not keep it from all else.
_BATCH = 256
_FLOOD = 65_536
#: Seconds that hosts have to hear that the run is complete, and to leave: one that does not waits in vain for the
#: learner to come back. A message is not heard for sure where a connection is closed while the other end still sends.
_PARTING = 5.0


class Server:
    """A `framework.runtime.link.source.Source` that samplers in other processes collect for.

    Args:
        endpoint: where samplers on this machine connect, such as ``ipc:///run/x/link``.
        leases: the work of the run; from here on it belongs to the server.
        admission: who is let in.
        kept_versions: how many versions back a sampler may still ask for.
        grace: seconds that a sampler whose connection was lost has to come back.
        listener: lets hosts on other machines in; None where there are to be none. It belongs to the server.
    """

    def __init__(
        self,
        endpoint: str,
        leases: Leases,
        admission: Admission,
        kept_versions: int,
        grace: float = 10.0,
        listener: Listener | None = None,
    ):
        self.endpoint = endpoint
        self._listener = listener
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.BACKLOG, 1024)
        self._router.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        self._router.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT)
        largest = max(wire.HEADER_LIMIT, wire.ECHO_LIMIT, *admission.specification.bytes.values())
        self._router.setsockopt(zmq.MAXMSGSIZE, largest + OVERHEAD)
        self._router.bind(endpoint)
        try:
            if listener is not None:
                listener.bind(self._context, self._router)
        except BaseException:
            self._free()
            raise
        admit = no_keys if listener is None else listener.admit
        self._dispatcher = Dispatcher(leases, admission, kept_versions, grace, self._send, self._news.put, admit)
        self._mailbox = Mailbox(self._context, lambda: not self._thread.is_alive())
        self._complete = False
        self._stopped = math.inf
        self._thread = threading.Thread(target=self._serve, name="link", daemon=True)
        self._thread.start()

    # For other threads.

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """See `Source`."""
        self._mailbox.command(partial(self._dispatcher.publish, version, snapshot))

    def release(self, trajectories: int) -> None:
        """See `Source`."""
        self._mailbox.command(partial(self._dispatcher.release, trajectories))

    def receive(self, timeout: float) -> Accepted | Event | None:
        """See `Source`."""
        try:
            news = self._news.get(timeout=timeout)
        except queue.Empty:
            self._mailbox.check()
            return None
        if isinstance(news, Failure):
            raise RunError(news.message)
        return news

    def announce(self, *news: News) -> None:
        """Have `receive` give this too."""
        for item in news:
            self._news.put(item)

    def depart(self, sampler: str, incarnation: int, status: int) -> tuple[int, bool]:
        """See `framework.runtime.link.dispatcher.Dispatcher.depart`, after all that the sampler has sent."""

        def depart() -> tuple[int, bool]:
            self._receive_all(_FLOOD)
            return self._dispatcher.depart(sampler, incarnation)

        return self._mailbox.ask(depart)

    def complete(self) -> None:
        """See `Source`."""
        self._complete = True

    def close(self) -> None:
        """See `Source`."""
        self._mailbox.command(self._stop)
        self._thread.join()
        self._free()

    def _free(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._context.destroy(linger=0)

    # In the link's thread.

    def _serve(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._router, zmq.POLLIN)
            poller.register(self._mailbox.socket, zmq.POLLIN)
            looked = -math.inf
            while not self._parted():
                if monotonic() - looked > _LOOK:
                    looked = monotonic()
                    self._look(looked)
                ready = dict(poller.poll(int(_TICK * 1000)))
                if self._mailbox.socket in ready:
                    self._mailbox.carry_out()
                if self._router in ready:
                    self._receive_all(_BATCH)
        except Exception as error:
            self._news.put(Failure(f"the link failed: {describe(error)}"))

    def _parted(self) -> bool:
        """Whether `close` was called, and nobody is waited for any more."""
        waits = self._complete and self._dispatcher.has_hosts
        return monotonic() > self._stopped + (_PARTING if waits else 0.0)

    def _look(self, now: float) -> None:
        self._dispatcher.tick(now)
        if self._listener is not None and self._listener.keys_changed():
            self._dispatcher.revoke(self._listener.revoked)

    def _receive_all(self, limit: int) -> None:
        for _ in range(limit):
            try:
                parts = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            try:
                way, frames = wire.split([part.buffer for part in parts])
            except wire.ProtocolError:
                way, frames = (parts[0].bytes,), [b""]  # which the dispatcher refuses
            key = self._listener.key_of(parts[-1]) if self._listener is not None and len(way) == 1 else ""
            self._dispatcher.receive(way, frames, key)

    def _send(self, way: Way, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> bool:
        try:
            frames = [*way, b"", *wire.encode(type, arrays, **fields)]
            self._router.send_multipart(frames, zmq.DONTWAIT, copy=False)
        except zmq.Again:
            pass  # it does not read: what it misses it asks for when it does
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _stop(self) -> None:
        self._stopped = monotonic()
        self._dispatcher.stop(self._complete)

"""The learner's end of the link: a thread with the ROUTER socket that every sampler connects to.

The thread owns the socket and the dispatcher; the learner talks to it through a queue of commands, and takes what it
accepted from a queue of news.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import numpy as np
import zmq

from framework.errors import RunError
from framework.plugins import describe
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.link import wire
from framework.runtime.link.dispatcher import Admission, Dispatcher
from framework.runtime.link.endpoint import HEARTBEAT, HEARTBEAT_TIMEOUT
from framework.runtime.link.leases import Leases
from framework.runtime.link.source import Accepted, Event, Failure, News

Result = TypeVar("Result")
_TICK = 0.25  # seconds
_LOOK = 1.0  # seconds after which connections are looked after again


class Server:
    """A `framework.runtime.link.source.Source` that samplers in other processes collect for.

    Args:
        endpoint: where to listen, such as ``ipc:///run/x/link``.
        leases: the work of the run; from here on it belongs to the server.
        admission: who is let in.
        kept_versions: how many versions back a sampler may still ask for.
        grace: seconds that a sampler whose connection was lost has to come back.
    """

    def __init__(self, endpoint: str, leases: Leases, admission: Admission, kept_versions: int, grace: float = 10.0):
        self.endpoint = endpoint
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.BACKLOG, 1024)
        self._router.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        self._router.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT)
        self._router.setsockopt(zmq.MAXMSGSIZE, max(wire.HEADER_LIMIT, *admission.specification.bytes.values()))
        self._router.bind(endpoint)
        self._dispatcher = Dispatcher(leases, admission, kept_versions, grace, self._send, self._news.put)
        address = f"inproc://commands-{id(self)}"
        self._inbox, self._outbox = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        self._inbox.bind(address)
        self._outbox.connect(address)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._commanding = threading.Lock()  # a socket belongs to one thread at a time
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="link", daemon=True)
        self._thread.start()

    # For other threads.

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """See `Source`."""
        self._command(partial(self._dispatcher.publish, version, snapshot))

    def release(self, trajectories: int) -> None:
        """See `Source`."""
        self._command(partial(self._dispatcher.release, trajectories))

    def receive(self, timeout: float) -> Accepted | Event | None:
        """See `Source`."""
        try:
            news = self._news.get(timeout=timeout)
        except queue.Empty:
            self._check_thread()
            return None
        if isinstance(news, Failure):
            raise RunError(news.message)
        return news

    def announce(self, *news: News) -> None:
        """Have `receive` give this too."""
        for item in news:
            self._news.put(item)

    def depart(self, sampler: str, incarnation: int) -> tuple[int, bool]:
        """See `framework.runtime.link.dispatcher.Dispatcher.depart`, after all that the sampler has sent."""

        def depart() -> tuple[int, bool]:
            self._receive_all()
            return self._dispatcher.depart(sampler, incarnation)

        return self._ask(depart)

    def close(self) -> None:
        """See `Source`."""
        self._command(self._stop)
        self._thread.join()
        self._context.destroy(linger=0)

    def _command(self, command: Callable[[], None]) -> None:
        self._commands.put(command)
        with self._commanding:
            if self._thread.is_alive():
                self._outbox.send(b"")

    def _ask(self, question: Callable[[], Result]) -> Result:
        answer: Future[Result] = Future()
        self._command(lambda: answer.set_result(question()))
        while True:
            try:
                return answer.result(timeout=_TICK)
            except TimeoutError:
                self._check_thread()

    def _check_thread(self) -> None:
        if not self._thread.is_alive():
            raise RunError("the link's thread has ended")

    # In the link's thread.

    def _serve(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._router, zmq.POLLIN)
            poller.register(self._inbox, zmq.POLLIN)
            looked = -math.inf
            while not self._stopping:
                if monotonic() - looked > _LOOK:
                    looked = monotonic()
                    self._dispatcher.tick(looked)
                ready = dict(poller.poll(int(_TICK * 1000)))
                if self._inbox in ready:
                    self._inbox.recv()
                    self._commands.get()()
                if self._router in ready:
                    self._receive_all()
        except Exception as error:
            self._news.put(Failure(f"the link failed: {describe(error)}"))

    def _receive_all(self) -> None:
        while True:
            try:
                peer, *frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            self._dispatcher.receive(peer.bytes, [frame.buffer for frame in frames])

    def _send(self, peer: bytes, type: str, arrays: dict[str, np.ndarray] | None = None, **fields: Any) -> bool:
        try:
            self._router.send_multipart([peer, *wire.encode(type, arrays, **fields)], zmq.DONTWAIT, copy=False)
        except zmq.Again:
            pass  # it does not read: what it misses it asks for when it does
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _stop(self) -> None:
        self._stopping = True
        self._dispatcher.stop()

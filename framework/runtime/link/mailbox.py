"""Commands for a thread that waits for sockets: it polls the mailbox's socket beside its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import zmq

from framework.errors import RunError

Result = TypeVar("Result")
_TICK = 0.25  # seconds after which one who waits for an answer looks whether the thread is still there


class Mailbox:
    """Takes commands from any thread; the one that owns the sockets of ``context`` carries them out.

    Args:
        context: of the sockets.
        gone: whether the owning thread has ended.
    """

    def __init__(self, context: zmq.Context[Any], gone: Callable[[], bool]):
        self._gone = gone
        self.socket, self._outbox = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        address = f"inproc://mailbox-{id(self)}"
        self.socket.bind(address)
        self._outbox.connect(address)
        self._commands: list[Callable[[], None]] = []
        self._commanding = threading.Lock()  # a socket, too, belongs to one thread at a time

    def command(self, command: Callable[[], None]) -> None:
        """Have this done, some time soon."""
        with self._commanding:
            self._commands.append(command)
            if len(self._commands) == 1 and not self._gone():
                self._outbox.send(b"")  # which wakes it up for those that follow, too

    def ask(self, question: Callable[[], Result]) -> Result:
        """Have this done, and wait for what it returns. Raises `RunError` where the thread has ended."""
        answer: Future[Result] = Future()

        def reply() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)
                raise

        self.command(reply)
        while True:
            try:
                return answer.result(timeout=_TICK)
            except TimeoutError:
                self.check()

    def check(self) -> None:
        """Raise `RunError` where the owning thread has ended."""
        if self._gone():
            raise RunError("the link's thread has ended")

    def carry_out(self) -> None:
        """In the owning thread, where the socket can be read: do all that there is."""
        self.socket.recv()
        with self._commanding:
            commands, self._commands = self._commands, []
        for command in commands:
            command()

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from framework.errors import RunError
from framework.runtime.link.mailbox import Mailbox


class Owner:
    """A thread that carries out the commands of its mailbox, until one of them fails or says that it is the last."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self.mailbox = Mailbox(self._context, lambda: not self.thread.is_alive())
        self.failures: list[Exception] = []
        self._ending = False
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def end(self) -> None:
        """Have the thread end."""
        self.mailbox.command(lambda: setattr(self, "_ending", True))
        self.thread.join()

    def close(self) -> None:
        """End the thread, if it has not ended, and free its sockets."""
        self.end()
        self._context.destroy(linger=0)

    def _work(self) -> None:
        try:
            while not self._ending:
                assert self.mailbox.socket.poll(10_000)
                self.mailbox.carry_out()
        except ZeroDivisionError as error:
            self.failures.append(error)


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    owner.close()


def test_commands_are_carried_out_in_order(owner: Owner) -> None:
    """One after the other, in the owning thread, whoever gives them."""
    done: list[tuple[int, int]] = []
    threads: set[Any] = set()

    def give(giver: int) -> None:
        for number in range(50):
            owner.mailbox.command(lambda number=number: done.append((giver, number)))  # type: ignore[misc]
        owner.mailbox.ask(lambda: threads.add(threading.current_thread()))

    givers = [threading.Thread(target=give, args=(giver,)) for giver in range(3)]
    for thread in givers:
        thread.start()
    for thread in givers:
        thread.join()
    for giver in range(3):
        assert [number for who, number in done if who == giver] == list(range(50))
    assert threads == {owner.thread}


def test_commands_that_come_together_wake_the_thread_once() -> None:
    """To wake it takes longer than most of them."""
    context: zmq.Context[Any] = zmq.Context()
    mailbox = Mailbox(context, lambda: False)
    done: list[int] = []
    for round_number in range(2):
        for number in range(3):
            mailbox.command(lambda number=number: done.append(number))  # type: ignore[misc]
        assert mailbox.socket.poll(10_000)
        mailbox.carry_out()
        assert done == [0, 1, 2] * (round_number + 1)
        assert not mailbox.socket.poll(0)
    context.destroy(linger=0)


def test_questions_are_answered(owner: Owner) -> None:
    """With what they return, after what was asked before; None is an answer too."""
    numbers: list[int] = []
    owner.mailbox.command(lambda: numbers.append(1))
    assert owner.mailbox.ask(lambda: list(numbers)) == [1]
    assert owner.mailbox.ask(lambda: None) is None


def test_an_error_reaches_both_sides(owner: Owner) -> None:
    """Who asked, and the thread that it was raised in."""
    with pytest.raises(ZeroDivisionError) as caught:
        owner.mailbox.ask(lambda: 1 // 0)
    owner.thread.join()
    assert owner.failures == [caught.value]


def test_a_thread_that_has_ended_is_noticed(owner: Owner) -> None:
    """Nobody waits for it: questions are errors, and commands are nobody's."""
    owner.mailbox.check()
    owner.end()
    owner.mailbox.command(lambda: None)
    for ask in (owner.mailbox.check, lambda: owner.mailbox.ask(lambda: 1)):
        with pytest.raises(RunError, match="the link's thread has ended"):
            ask()


def test_a_thread_that_ends_before_it_answers_is_noticed(owner: Owner) -> None:
    """Also where the question was put while it was there."""
    busy, asked, raised = threading.Event(), threading.Event(), []
    owner.mailbox.command(lambda: (busy.set(), asked.wait(10), setattr(owner, "_ending", True)))  # type: ignore[arg-type,return-value]
    busy.wait(10)

    def ask() -> None:
        with pytest.raises(RunError, match="the link's thread has ended"):
            owner.mailbox.ask(lambda: 1)
        raised.append(True)

    asking = threading.Thread(target=ask)
    asking.start()
    while not owner.mailbox._commands:
        pass
    asked.set()
    asking.join()
    assert raised == [True]

"""The supervisor: has a run's samplers started, and started again when they die."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Protocol

from framework.exit_codes import NOT_LET_IN, WRONG_VERSION, in_words
from framework.plugins import describe
from framework.runtime.launch.starter import SamplerExit, Starter
from framework.runtime.link.source import Event, Failure, News

#: A sampler that is lost so often without delivering anything is not started again.
GIVE_UP_AFTER = 5
#: Seconds that the starter is waited for at a time.
_TICK = 0.25


class Roll(Protocol):
    """What a supervisor needs of whoever its samplers connect to: the learner's end of the link, or a host's relay."""

    endpoint: str  #: where they do

    def depart(self, sampler: str, incarnation: int, status: int) -> tuple[int, bool]:
        """The process of a sampler has ended, with this status: what it held is free.

        Returns how many trajectories that incarnation had delivered, and whether it had been rejected.
        """

    def announce(self, *news: News) -> None:
        """Tell the learner."""


class Supervisor:
    """Keeps ``samplers`` samplers of a run at work, from the constructor to `close`, in a thread of its own.

    They are named ``prefix`` and a number.

    Where one dies `GIVE_UP_AFTER` times in a row without delivering anything, or the starter fails, the learner is
    told that the run cannot go on.
    """

    def __init__(self, starter: Starter, samplers: int, run: str, roll: Roll, prefix: str = "sampler-"):
        self._starter = starter
        self._samplers = samplers
        self._run = run
        self._prefix = prefix
        self._roll = roll
        self._losses: Counter[str] = Counter()  # in a row, by sampler
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the samplers; nobody is started again."""
        self._closing.set()
        self._starter.close()
        self._thread.join()

    def _supervise(self) -> None:
        try:
            for number in range(self._samplers):
                self._start(f"{self._prefix}{number}", 0)
            while not self._closing.is_set():
                for sampler_exit in self._starter.exits(_TICK):
                    self._replace(sampler_exit)
        except Exception as error:
            if not self._closing.is_set():  # then the starter's end is no news
                lost = isinstance(error, ChildProcessError)
                self._roll.announce(Failure(str(error) if lost else f"samplers cannot be started: {describe(error)}"))

    def _replace(self, sampler_exit: SamplerExit) -> None:
        sampler, incarnation = sampler_exit.sampler, sampler_exit.incarnation
        delivered, rejected = self._roll.depart(sampler, incarnation, sampler_exit.status)
        lost = {"sampler": sampler, "process": sampler_exit.process, "status": sampler_exit.status}
        self._roll.announce(Event("sampler_lost", lost))
        if delivered:
            self._losses[sampler] = 0
        self._losses[sampler] += 1
        losses = self._losses[sampler]
        # An environment, too, may end its process with this exit code.
        if sampler_exit.status in (NOT_LET_IN, WRONG_VERSION) and rejected:
            self._roll.announce(Failure(f"{sampler} was not let in"))
        elif losses >= GIVE_UP_AFTER:
            reason = in_words(sampler_exit.status)
            died = f"{sampler} died {losses} times in a row ({reason}) without delivering anything"
            self._roll.announce(Failure(died))
        else:
            self._start(sampler, incarnation + 1)
            self._roll.announce(Event("sampler_replaced", {"sampler": sampler, "incarnation": incarnation + 1}))

    def _start(self, sampler: str, incarnation: int) -> None:
        self._starter.start(self._roll.endpoint, self._run, sampler, incarnation)

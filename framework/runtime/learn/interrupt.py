"""Ending a run from outside in good order, also while an environment is being played that takes long."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep

from framework.errors import EXIT_INTERRUPTED

PATIENCE = 3.0  #: seconds that compiled code has to return after a signal


class Interrupt:
    """A request to end the run, made by a signal handler in the learner's own thread.

    A run ends between two updates, as an update cannot be left halfway. Inside `at_once`, where nothing is changed that
    a checkpoint would hold, the request raises `KeyboardInterrupt` from wherever the thread is.
    """

    def __init__(self) -> None:
        self._requested = False
        self._at_once = False
        self._thread = threading.current_thread()
        #: Saves the run from another thread while this one is inside `at_once` and does not return.
        self.rescue: Callable[[], object] = bool

    def request(self) -> None:
        """End the run; raises `KeyboardInterrupt` inside `at_once`."""
        self._requested = True
        if self._at_once and threading.current_thread() is self._thread:
            raise KeyboardInterrupt

    def end_when_stuck(self) -> None:
        """From the next signal on, `PATIENCE` later, end the process where it is still inside `at_once`.

        Python's own signal handlers wait for compiled code to return, which an environment's may not do for long.
        """
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        threading.Thread(target=self._wait, args=(woken,), name="interrupt", daemon=True).start()

    def _wait(self, woken: int) -> None:
        os.read(woken, 1)
        sleep(PATIENCE)
        while not self._at_once:
            sleep(0.1)
        self.rescue()
        os.write(2, b"an environment does not return: the run is saved and ended\n")
        os._exit(EXIT_INTERRUPTED)

    @property
    def requested(self) -> bool:
        """Whether the run is to end."""
        return self._requested

    def check(self) -> None:
        """Raise `KeyboardInterrupt` where the run is to end."""
        if self._requested:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done here may be left at any point: foreign code runs, and no state of the run is changed."""
        with self.closing():
            self.check()
            yield
        self.check()  # also where foreign code has caught what was raised

    @contextmanager
    def closing(self) -> Iterator[None]:
        """As `at_once`, for what is done at the end, also of a run that was asked to end."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

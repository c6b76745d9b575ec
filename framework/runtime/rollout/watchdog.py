"""The watchdog of a sampler: ends its process where an environment does not come back.

Two alarms are set. The sampler's own is a thread of C, which shows where it hangs, also where foreign code holds
Python's lock. The other is a time in memory that the process which has forked the sampler reads: it goes off where the
whole sampler was stopped.
"""

from __future__ import annotations

import faulthandler
from ctypes import c_double
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from framework.runtime.rollout.vector import Vector

#: Seconds after which the alarm is set anew: setting it takes as long as a step of a fast environment.
_INTERVAL = 1.0


class Watchdog:
    """A context in which the process ends, with a traceback of every thread, where nothing happens for too long.

    Args:
        seconds: that one call of an environment may take; 0 watches nothing.
        deadline: where the time is written, of this machine's monotonic clock, after which others may end the process.
    """

    def __init__(self, seconds: float, deadline: c_double | None = None):
        self._seconds = seconds
        self._deadline = c_double() if deadline is None else deadline
        self._set = 0.0

    def __enter__(self) -> None:
        self._set = 0.0
        self.progress()

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._seconds:
            faulthandler.cancel_dump_traceback_later()
            self._deadline.value = 0.0

    def progress(self) -> None:
        """An environment has come back, or there is none to wait for."""
        if self._seconds and monotonic() - self._set > _INTERVAL:
            self._set = monotonic()
            faulthandler.dump_traceback_later(self._seconds + _INTERVAL, exit=True, file=2)
            self._deadline.value = self._set + self._seconds + 2 * _INTERVAL

    def watch(self, vector: Vector) -> Vector:
        """The same vector, whose steps and resets are progress from now on."""
        step, reset = vector.step, vector.reset

        def watched_step(actions: np.ndarray) -> None:
            step(actions)
            self.progress()

        def watched_reset(*arguments: Any) -> None:
            reset(*arguments)
            self.progress()

        if self._seconds:
            vector.step, vector.reset = watched_step, watched_reset  # type: ignore[method-assign, assignment]
        return vector

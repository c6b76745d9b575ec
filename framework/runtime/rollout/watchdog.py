"""The watchdog of a sampler: ends its process where an environment does not come back."""

from __future__ import annotations

import faulthandler
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

    The alarm is a thread of C, which also rings where foreign code holds Python's lock.

    Args:
        seconds: that one call of an environment may take; 0 watches nothing.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._set = 0.0

    def __enter__(self) -> None:
        self._set = 0.0
        self.progress()

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._seconds:
            faulthandler.cancel_dump_traceback_later()

    def progress(self) -> None:
        """An environment has come back."""
        if self._seconds and monotonic() - self._set > _INTERVAL:
            faulthandler.dump_traceback_later(self._seconds + _INTERVAL, exit=True, file=2)
            self._set = monotonic()

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

"""What a launcher does, and how a sampler's process ends. This module does not import torch or zmq."""

from __future__ import annotations

import signal
from typing import Protocol

from attrs import frozen

#: Exit codes of a sampler.
DONE, ENVIRONMENT_FAILED, TRY_AGAIN, NOT_LET_IN = 0, 70, 75, 77


@frozen
class Exit:
    """A sampler's process has ended."""

    sampler: str
    incarnation: int
    process: int
    status: int  #: exit code, or minus the number of the signal that ended it

    @property
    def reason(self) -> str:
        """In words."""
        return status_in_words(self.status)


class Launcher(Protocol):
    """Starts processes ``python -P -m framework.runtime.launch.sampler_process``, with the arguments of `start`.

    It decides nothing: who is started, and started again, is the supervisor's business.
    """

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        """Start one sampler of a run whose learner listens at ``endpoint``.

        Raises `ChildProcessError` when none can be started any more.
        """

    def exits(self, timeout: float) -> list[Exit]:
        """Samplers that have ended since the last call; waits for the first, at most ``timeout`` seconds.

        Raises `ChildProcessError` when the launcher has lost its samplers.
        """

    def close(self) -> None:
        """End all samplers, at once if they do not end by themselves, and wait for it. May be called again."""


def status_in_words(status: int) -> str:
    """An exit code, or the name of the signal that minus ``status`` is the number of."""
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name

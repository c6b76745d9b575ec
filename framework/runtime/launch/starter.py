"""What starts sampler processes, for whoever decides that they are started."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen


@frozen
class SamplerExit:
    """A sampler's process has ended."""

    sampler: str
    incarnation: int
    process: int  #: its number
    status: int  #: exit code, or minus the number of the signal that ended it


class Starter(Protocol):
    """Starts sampler processes on this machine; who is started, and started again, is the supervisor's business."""

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        """Start one sampler of a run, which connects to ``endpoint``.

        Raises `ChildProcessError` when none can be started any more.
        """

    def exits(self, timeout: float) -> list[SamplerExit]:
        """Samplers that have ended since the last call; waits for the first, at most ``timeout`` seconds.

        Raises `ChildProcessError` when the samplers are lost.
        """

    def close(self) -> None:
        """End all samplers, at once if they do not end by themselves, and wait for it. May be called again.

        It is called by another thread than the one that waits in `exits`, which then may return or raise anything.
        """

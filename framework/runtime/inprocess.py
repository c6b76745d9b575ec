"""Sampling inside the learner: the same work in the same order, for a debugger."""

from __future__ import annotations

from collections import deque

import torch

from framework.errors import RunError
from framework.runtime.leases import Grant, Leases
from framework.runtime.link import Accepted, Event
from framework.runtime.weights import Version
from framework.runtime.worker import Worker

_LEARNER = b"learner"


class InProcess:
    """Stands where a `framework.runtime.link.Link` does; collects when it is asked for news."""

    def __init__(self, leases: Leases, worker: Worker):
        self._leases = leases
        self._worker = worker
        self._work: deque[Grant] = deque()
        self._news: deque[Event] = deque()
        leases.join(_LEARNER)

    def publish(self, number: int, version: Version) -> None:
        """Make a version known."""
        self._worker.keep(number, version)
        self._leases.version = number

    def trained(self, trajectories: int) -> None:
        """So many accepted trajectories have been used up."""
        self._leases.trained(trajectories)

    def receive(self, timeout: float) -> Accepted | Event | None:
        """The next trajectory, collected now."""
        if self._news:
            return self._news.popleft()
        self._work.extend(self._leases.grant())
        if not self._work:
            raise RunError("nothing to collect: no trajectory is granted")
        grant = self._work.popleft()
        # One thread, as in a sampler: the number of threads changes how sums are rounded.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            if grant.restore:
                lost = self._worker.restore(grant.shard, grant.state)
                if lost:
                    self._news.append(Event("not_replayable", {"shard": grant.shard, "environments": lost}))
            trajectory = self._worker.collect(grant.shard, grant.number, grant.version)
        finally:
            torch.set_num_threads(threads)
        state = self._leases.accept(_LEARNER, trajectory)
        if state is None:
            raise RunError(f"trajectory {trajectory.number} of shard {trajectory.shard} was not owed")
        return Accepted(trajectory, state)

    def close(self) -> None:
        """Nothing: the worker belongs to the learner."""

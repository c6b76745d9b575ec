"""Sampling inside the learner: the same work in the same order, for a debugger."""

from __future__ import annotations

from collections import deque

import torch

from framework.errors import RunError
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.link.leases import Grant, Leases
from framework.runtime.link.source import Accepted, Event
from framework.runtime.rollout.worker import Worker

_LEARNER = b"learner"


class InProcess:
    """A `Source` that collects when it is asked for news."""

    def __init__(self, leases: Leases, worker: Worker):
        self._leases = leases
        self._worker = worker
        self._work: deque[Grant] = deque()
        self._events: deque[Event] = deque()
        leases.join(_LEARNER)

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """See `Source`."""
        self._worker.keep(version, snapshot)
        self._leases.version = version

    def release(self, trajectories: int) -> None:
        """See `Source`."""
        self._leases.release(trajectories)

    def receive(self, timeout: float) -> Accepted | Event | None:
        """The next trajectory, collected now."""
        if self._events:
            return self._events.popleft()
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
                    self._events.append(Event("not_replayable", {"shard": grant.shard, "environments": lost}))
            trajectory = self._worker.collect(grant.shard, grant.number, grant.version)
        finally:
            torch.set_num_threads(threads)
        state = self._leases.accept(_LEARNER, trajectory)
        if state is None:
            raise RunError(f"trajectory {trajectory.number} of shard {trajectory.shard} was not owed")
        return Accepted(trajectory, state)

    def complete(self) -> None:
        """See `Source`."""

    def close(self) -> None:
        """Nothing: the worker belongs to the learner."""

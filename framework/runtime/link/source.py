"""What a learner needs of whoever collects its trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from framework.runtime.data.shard import ShardState
from framework.runtime.data.trajectory import Trajectory

if TYPE_CHECKING:
    from framework.runtime.data.policy_snapshot import PolicySnapshot  # which imports torch, and a host does not


@frozen
class Accepted:
    """A trajectory that the learner owns, and the state of its shard after it."""

    trajectory: Trajectory
    state: ShardState
    host: str = ""  #: whose sampler collected it; empty for one on the learner's machine


@frozen
class Event:
    """Something that belongs into the run's record."""

    name: str
    fields: dict[str, Any]


@frozen
class Failure:
    """The run cannot go on."""

    message: str


News = Accepted | Event | Failure


class Source(Protocol):
    """Where trajectories come from: a `framework.runtime.link.server.Server`, or an `InProcess`."""

    def publish(self, version: int, snapshot: PolicySnapshot) -> None:
        """Make a policy version known; trajectories that were waiting for it are granted."""

    def release(self, trajectories: int) -> None:
        """Return credit for that many consumed trajectories."""

    def receive(self, timeout: float) -> Accepted | Event | None:
        """The next news, or None after ``timeout`` seconds. Raises `RunError` when the run cannot go on."""

    def complete(self) -> None:
        """The run has done all its steps: those who would wait for it to be resumed need not."""

    def close(self) -> None:
        """Tell all who collect to stop, and free what is held for them."""

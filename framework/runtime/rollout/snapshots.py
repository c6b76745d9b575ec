"""Environments that can save where they stand, and go there.

Snapshots arrive from other processes and lie in checkpoints, and what reads them may be native code that trusts them:
forged ones crash ALE. So they are sealed, and an environment is given only what its own account has written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gymnasium.wrappers import OrderEnforcing

from framework.errors import EnvironmentFailed, RunError
from framework.interfaces import SnapshotEnvironment
from framework.plugins import describe
from framework.runtime.data.episode_snapshot import GIVEN_LIMIT
from framework.runtime.disk import trust


class Snapshots:
    """Saves where the environments of a vector stand, and puts them there.

    Args:
        environments: those of the vector.
        show: ``show(index, observation, info)`` makes the vector show these.
    """

    def __init__(self, environments: Sequence[Any], show: Callable[[int, Any, Any], None]):
        self._environments: list[SnapshotEnvironment] = [_without_order(environment) for environment in environments]
        self._show = show

    def replace(self, index: int, environment: Any) -> None:
        """Another environment stands in place of one that raised."""
        self._environments[index] = _without_order(environment)

    def save(self, index: int) -> bytes:
        """A snapshot of an environment, which stays as it is."""
        try:
            data = self._environments[index].save_snapshot()
        except (Exception, SystemExit) as error:
            raise EnvironmentFailed(f"environment {index} failed in save_snapshot: {describe(error)}") from error
        if not isinstance(data, bytes):
            raise RunError(f"environment {index} gave a snapshot of type {type(data).__name__}: it must be bytes")
        if len(data) > GIVEN_LIMIT:
            raise RunError(
                f"environment {index} gave a snapshot of {len(data)} bytes, at most {GIVEN_LIMIT} are allowed: leave"
                " out what can be computed from the rest, or compress it"
            )
        return trust.seal(data)

    def load(self, index: int, sealed: bytes) -> bool:
        """Put an environment that was reset where it stood; returns whether it is there.

        It stays where it is if another account has saved the snapshot, or if it refuses it.
        """
        data = trust.unseal(sealed)
        if data is None:
            return False
        try:
            observation, info = self._environments[index].load_snapshot(data)
        except ValueError:  # of another version of it, say
            return False
        except (Exception, SystemExit) as error:
            raise EnvironmentFailed(f"environment {index} failed in load_snapshot: {describe(error)}") from error
        self._show(index, observation, info)
        return True


def find_snapshots(environments: Sequence[Any], show: Callable[[int, Any, Any], None]) -> Snapshots | None:
    """The snapshots of environments that all offer them, on their outermost layer; None where one does not.

    None too where this account can keep no key to seal them with.
    """
    offered = all(isinstance(_without_order(environment), SnapshotEnvironment) for environment in environments)
    return Snapshots(environments, show) if offered and trust.can_seal() else None


def _without_order(environment: Any) -> Any:
    """Without the layer that Gymnasium puts around every registered environment, which remembers only the reset."""
    while isinstance(environment, OrderEnforcing):
        environment = environment.env
    return environment

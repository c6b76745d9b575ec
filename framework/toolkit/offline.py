"""Algorithms that learn before anything is collected."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class OfflineAlgorithm(Protocol):
    """A `framework.interfaces.Algorithm` that learns from what its replay buffer holds from the start.

    It declares that it supports ``"offline"``.
    """

    def update_offline(self, steps: int, progress: float) -> dict[str, float]:
        """Learn as much as from ``steps`` environment steps, of which there are none; returns metrics.

        Called instead of ``update`` for the first `Context.offline_steps`; ``progress`` is the share of the run's
        total steps that is done, as in `Batch`.
        """

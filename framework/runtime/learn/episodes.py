"""The episodes that have ended, and the means over the last of them that no error ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.runtime.data.trajectory import Trajectory

#: Finished episodes that ``return``, ``length`` and ``success`` are means of.
WINDOW = 100


class Episodes:
    """Counts finished episodes and remembers the last of them."""

    def __init__(self) -> None:
        self.count = 0
        self._window: deque[dict[str, Any]] = deque(maxlen=WINDOW)

    def add(self, trajectories: Sequence[Trajectory], scores: Sequence[float] = ()) -> list[dict[str, Any]]:
        """Take in the episodes that ended in ``trajectories``, and return them in the order of their ends.

        ``scores`` belong to the last of them, as they lie in the trajectories.
        """
        ended = [episode for trajectory in trajectories for episode in trajectory.episodes()]
        for episode, score in zip(ended[len(ended) - len(scores) :], scores, strict=True):
            episode["score"] = score
        ended.sort(key=lambda episode: episode["step"])
        for episode in ended:
            del episode["step"]
            success = episode.pop("success")
            if success >= 0:
                episode["success"] = bool(success)
            if episode.pop("error"):
                episode["error"] = True
        self.count += len(ended)
        self._window.extend(episode for episode in ended if "error" not in episode)
        return ended

    def means(self) -> dict[str, float]:
        """``return``, ``length`` and, where it is known, ``success``, over the last episodes that no error ended."""
        means = {}
        for name in ("return", "length", "success"):
            values = [episode[name] for episode in self._window if name in episode]
            if values:
                means[name] = float(np.mean(values))
        return means

    def state_dict(self) -> dict[str, Any]:
        """Count and window."""
        return {"count": self.count, "window": list(self._window)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.count = state["count"]
        self._window.clear()
        self._window.extend(state["window"])

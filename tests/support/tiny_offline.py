"""Algorithms as in `tiny`, which learn before anything is collected too."""

from __future__ import annotations

import tiny
import torch


class Offline(tiny.Algorithm):
    """Adds the steps that it is told to learn from offline to the weight of its policy."""

    supports = tiny.Algorithm.supports | {"offline"}

    def update_offline(self, steps: int, progress: float) -> dict[str, float]:
        self.updates += 1
        with torch.no_grad():
            self.policy.weight += steps
        return {"progress": progress, "updates": float(self.updates)}


class Diverging(Offline):
    """Its loss is no number."""

    def update_offline(self, steps: int, progress: float) -> dict[str, float]:
        return {"loss": float("nan")}


class Lying(tiny.Algorithm):
    """Declares what it cannot do."""

    supports = tiny.Algorithm.supports | {"offline"}


class Replay:
    """Holds nothing, and declares nothing."""

    def __init__(self, config: object, context: object):
        pass

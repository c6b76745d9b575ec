"""A curriculum for the tests of the runtime."""

from __future__ import annotations

from typing import Any

import numpy as np


class Counting:
    """A curriculum that numbers its tasks and remembers what it hears of."""

    def __init__(self, extra: int = 0):
        self.sampled = 0
        self.extra = extra
        self.heard: list[Any] = []

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        self.sampled += count
        return [{"level": float(rng.random()), "number": number} for number in range(count + self.extra)]

    def update(self, episodes: Any) -> dict[str, float]:
        self.heard += [episode["task"] for episode in episodes]
        return {"heard": float(len(self.heard))}

    def state_dict(self) -> dict[str, Any]:
        return {"sampled": self.sampled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampled = state["sampled"]

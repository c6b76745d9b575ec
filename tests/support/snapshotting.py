"""An environment that offers snapshots, for the tests of the runtime."""

from __future__ import annotations

import json
from typing import Any

import tiny


class Remembered(tiny.Hashed):
    """`tiny.Hashed`, whose snapshots are its seed, its task and its actions; it counts its steps and what it loads."""

    def __init__(self, longest: int = 6):
        super().__init__(longest)
        self.stepped = 0
        self.loaded = 0

    def step(self, action: Any) -> Any:
        self.stepped += 1
        return super().step(action)

    def save_snapshot(self) -> bytes:
        return json.dumps([self.seed, self.task, self.actions]).encode()

    def load_snapshot(self, snapshot: bytes) -> tuple[Any, dict[str, Any]]:
        self.loaded += 1
        self.seed, self.task, self.actions = json.loads(snapshot)
        return tiny.shown(self.seed, self.task, self.actions), {}


class Environment(tiny.Environment):
    """The component that makes them."""

    def make(self) -> Remembered:
        return Remembered(self.config.longest)

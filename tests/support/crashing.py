"""Environments that raise, by chance but as their seed and actions say."""

from __future__ import annotations

from typing import Any

import tiny

#: Where environments are restarted, and raise as often as they please.
RESTART = {"runtime__on_environment_error": "restart", "runtime__environment_error_share": 1.0}


def raises(seed: int, task: Any, actions: list[int]) -> bool:
    """Whether an environment raises in the step with the last of these actions, or, more seldom, in reset."""
    return tiny.digest(seed, task, actions)[6] < (48 if actions else 16)


class Crashing(tiny.Hashed):
    """Raises as `raises` says; after that it is of no use, and says so."""

    broken = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        result = super().reset(seed=seed, options=options)
        self._crash()
        return result

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        result = super().step(action)
        self._crash()
        return result

    def _crash(self) -> None:
        assert not self.broken, "called after it raised"
        if raises(self.seed, self.task, self.actions):
            self.broken = True
            raise OSError(f"gone after {len(self.actions)} steps")

    def close(self) -> None:
        super().close()
        if self.broken:
            raise OSError("cannot be closed")


class Environment(tiny.Environment):
    """The component that makes them."""

    def make(self) -> Crashing:
        self.environments.append(Crashing(self.config.longest))
        return self.environments[-1]  # type: ignore[return-value]

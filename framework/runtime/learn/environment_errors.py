"""Episodes that ended because their environments raised: told of, counted, and too many at some point."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from framework.errors import EnvironmentFailed
from framework.runtime.data.failures import Failure
from framework.runtime.data.trajectory import Trajectory

#: Finished episodes of which a share may have failed.
WINDOW = 200


class EnvironmentErrors:
    """Counts the episodes that failed, over the whole run and among the last `WINDOW`."""

    def __init__(self) -> None:
        self.count = 0
        self._window: deque[bool] = deque(maxlen=WINDOW)  # of each of the last episodes, whether it failed
        self._last = ""
        self._told = 0  # the count when one was told last

    def add(self, trajectories: Sequence[Trajectory], ended: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Take in the failures of ``trajectories``, in which the episodes ``ended``; returns those to be told of.

        Those are the first, and another one whenever there are twice as many: a few, however many episodes fail.
        """
        events, before = [], self.count
        for trajectory in trajectories:
            failures = trajectory.failures()
            for number, failure in enumerate(failures.told, self.count + 1):
                self._last = f"environment {failure.environment} failed in {failure.call}: {failure.reason}"
                if number >= 2 * self._told:
                    events.append(_event(failure, number))
                    self._told = number
            self.count += failures.count
        outcomes = ["error" in episode for episode in ended]
        self._window.extend(outcomes)
        # Those that failed in reset, or in a replay, are no episodes that ended.
        self._window.extend(repeat(True, self.count - before - sum(outcomes)))
        return events

    def check(self, share: float) -> None:
        """Raise `EnvironmentFailed` where more than this ``share`` of the last `WINDOW` episodes failed.

        Where fewer have ended the rest count as whole: the first few that fail end no run, and many do early.
        """
        allowed = int(share * WINDOW + 1e-9)
        failed, ended = sum(self._window), len(self._window)
        if failed <= allowed:
            return
        self._window.clear()  # whoever resumes the run has mended something
        raise EnvironmentFailed(
            f"environments raised in {failed} of the last {ended} episodes, and runtime.environment_error_share ="
            f" {share} allows {allowed} in {WINDOW}: mend the environment, or raise the share, and resume the run;"
            f" the last one: {self._last}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Counts, window, and what was raised last."""
        return {"count": self.count, "told": self._told, "last": self._last, "window": list(self._window)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.count, self._told, self._last = state["count"], state["told"], state["last"]
        self._window.clear()
        self._window.extend(state["window"])


def _event(failure: Failure, number: int) -> dict[str, Any]:
    fields = ("environment", "episode", "call", "reason", "traceback")
    return {name: getattr(failure, name) for name in fields} | {"failures": number}

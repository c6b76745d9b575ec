"""``framework run`` that tells how long a learner waits for others: ``python -m measure.timed_learner run PIPELINE``.

Started by torchrun in several processes, the first prints a line of JSON for each update, beside what it prints anyway.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from framework.__main__ import main
from framework.runtime.learn.follower import Followers
from framework.runtime.learn.update import Updater
from framework.toolkit import slices

spent: Counter[str] = Counter()


def timed(owner: Any, method: str, name: str) -> None:
    """Add the seconds that a method takes to those of ``name``."""
    plain: Callable[..., Any] = getattr(owner, method)

    def call(*arguments: Any, **fields: Any) -> Any:
        started = time.perf_counter()
        try:
            return plain(*arguments, **fields)
        finally:
            spent[name] += time.perf_counter() - started

    setattr(owner, method, call)


def told(update: Callable[..., Any]) -> Callable[..., Any]:
    """Print what an update took."""

    def call(*arguments: Any, **fields: Any) -> Any:
        spent.clear()
        started = time.perf_counter()
        result = update(*arguments, **fields)
        print("TIMES " + json.dumps({"update": time.perf_counter() - started, **spent}), flush=True)
        return result

    return call


if __name__ == "__main__":
    timed(slices, "_gathered", "gathering gradients")
    timed(slices, "_sum_of_processes", "gathering gradients")
    timed(Followers, "update", "sending the batch")
    timed(Followers, "check", "comparing weights")
    Updater.update = told(Updater.update)  # type: ignore[method-assign]
    sys.exit(main())

"""Success of episodes, and its moving averages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from framework.errors import RunError


def successes(episodes: Iterable[Mapping[str, Any]], success_return: float | None) -> Iterator[tuple[Any, float]]:
    """The task of each episode, and 1 where it succeeded, else 0.

    That is where its return is at least ``success_return``, or else what the environment says. Raises `RunError` where
    it says nothing: to leave such episodes out would count failures that nobody tells as if they had not happened.
    """
    for episode in episodes:
        if success_return is not None:
            yield episode["task"], float(episode["return"] >= success_return)
        elif "success" in episode:
            yield episode["task"], float(episode["success"])
        else:
            raise RunError(
                "the curriculum needs to know which episodes succeed, and the environment does not say: it must give"
                " info['success'] where an episode ends, truncated ones too; or set curriculum.success_return"
            )


def decayed(average: float, results: Sequence[float], smoothing: float) -> float:
    """The exponential moving average after one or more ``results``, each of weight ``smoothing``, in no order.

    Their mean takes the place of each, so that results of one update count alike whatever their order.
    """
    return average + newest_share(len(results), smoothing) * (sum(results) / len(results) - average)


def newest_share(count: int, smoothing: float) -> float:
    """The weight of the latest ``count`` results together in an exponential moving average."""
    return 1 - (1 - smoothing) ** count

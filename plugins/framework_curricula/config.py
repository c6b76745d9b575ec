"""Options of the curricula."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from framework.schema import OptionError, option

_SUCCESS_HELP = (
    'Episodes with at least this return count as successes; by default info["success"] says so at the end of an'
    " episode."
)
_EXPLORATION_HELP = "Probability of a uniformly drawn task, so that none is given up for ever."


@frozen
class TasksConfig:
    """Options of every curriculum over a list of tasks."""

    tasks: tuple[Any, ...] = option(
        (), help="The tasks: numbers, strings, arrays or tables, as the environment takes them."
    )
    count: int | None = option(
        None, help="Instead of tasks: integers from 0 to count - 1, such as seeds of generated levels.", ge=1
    )

    def __attrs_post_init__(self) -> None:
        if bool(self.tasks) == (self.count is not None):
            raise OptionError("give either tasks or count", "tasks", "count")
        if len(set(map(task_key, self.tasks))) < len(self.tasks):
            raise OptionError("must differ from one another", "tasks")

    def all_tasks(self) -> list[Any]:
        """The tasks that ``tasks`` or ``count`` means."""
        return list(self.tasks or range(self.count or 0))


@frozen
class FixedConfig(TasksConfig):
    """Options of `fixed`."""

    weights: tuple[float, ...] = option(
        (), help="Relative sampling probability of each task; uniform by default.", gt=0
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.weights and len(self.weights) != len(self.all_tasks()):
            raise OptionError(f"must be as many as there are tasks ({len(self.all_tasks())})", "weights", "tasks")


@frozen
class ThresholdConfig:
    """Options of `threshold`."""

    minimum: float = option(0.0, help="Lowest level.", ge=0)
    maximum: float = option(1.0, help="Highest level.", gt=0)
    start: float = option(0.1, help="Initial level; above 0, which no factor would lead away from.", gt=0)
    raise_above: float = option(0.8, help="Success rate above which the level rises.", ge=0, le=1)
    lower_below: float = option(0.3, help="Success rate below which the level falls.", ge=0, le=1)
    raise_factor: float = option(1.05, help="Factor of the level when it rises.", gt=1)
    lower_factor: float = option(0.9, help="Factor of the level when it falls.", gt=0, lt=1)
    window: int = option(20, help="Latest episodes at the current level that the success rate is computed over.", ge=20)
    review: float = option(
        0.2, help="Probability of an easier task, drawn uniformly between minimum and the level.", ge=0, le=1
    )
    success_return: float | None = option(None, help=_SUCCESS_HELP)

    def __attrs_post_init__(self) -> None:
        if not self.minimum <= self.start <= self.maximum:
            raise OptionError(
                f"must lie between minimum ({self.minimum}) and maximum ({self.maximum}), is {self.start}",
                "start",
                "minimum",
                "maximum",
            )
        if self.lower_below >= self.raise_above:
            raise OptionError(
                f"must be less than raise_above ({self.raise_above}), is {self.lower_below}",
                "lower_below",
                "raise_above",
            )


@frozen
class LearnabilityConfig(TasksConfig):
    """Options of `learnability`."""

    smoothing: float = option(
        0.1, help="Weight of the latest episode in the moving average of a task's success, initially 0.5.", gt=0, le=1
    )
    exploration: float = option(0.1, help=_EXPLORATION_HELP, ge=0, le=1)
    success_return: float | None = option(None, help=_SUCCESS_HELP)


@frozen
class LearningProgressConfig(TasksConfig):
    """Options of `learning_progress`."""

    fast: float = option(
        0.1, help="Weight of the latest episode in the fast moving average of a task's success.", gt=0, le=1
    )
    slow: float = option(0.01, help="Weight of the latest episode in the slow moving average.", gt=0, le=1)
    exploration: float = option(0.1, help=_EXPLORATION_HELP, ge=0, le=1)
    success_return: float | None = option(None, help=_SUCCESS_HELP)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.slow >= self.fast:
            raise OptionError(f"must be less than fast ({self.fast}), is {self.slow}", "slow", "fast")


@frozen
class PrioritizedLevelReplayConfig(TasksConfig):
    """Options of `prioritized_level_replay`; the defaults are those of Jiang et al. (2021) for Procgen."""

    temperature: float = option(
        0.1, help="Temperature: a task's weight is rank ** (-1 / temperature) of its score.", gt=0
    )
    staleness: float = option(
        0.1, help="Staleness coefficient: share of the probability given by how long ago a task was played.", ge=0, le=1
    )


def task_key(task: Any) -> str:
    """The identity of a task, equal after its way to the environment and back."""
    return json.dumps(task, sort_keys=True)

import re
from typing import Any

import pytest

from framework.schema import OptionError
from framework_curricula.config import (
    FixedConfig,
    LearnabilityConfig,
    LearningProgressConfig,
    ThresholdConfig,
)


def test_tasks_are_given_or_counted() -> None:
    """A list as it stands, or the numbers from 0; 1 and true are different tasks."""
    assert FixedConfig(tasks=[1, True, "a", {"b": [2.5]}]).all_tasks() == [1, True, "a", {"b": [2.5]}]
    assert LearnabilityConfig(count=3).all_tasks() == [0, 1, 2]


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (FixedConfig, {}, "give either tasks or count"),
        (LearnabilityConfig, {"tasks": [1], "count": 1}, "give either tasks or count"),
        (FixedConfig, {"tasks": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, "must differ from one another"),
        (FixedConfig, {"count": 3, "weights": [1, 2]}, "must be as many as there are tasks (3)"),
        (FixedConfig, {"count": 2, "weights": [1, 0]}, "must be greater than 0"),
        (LearningProgressConfig, {"count": 2, "slow": 0.1}, "must be less than fast (0.1), is 0.1"),
        (ThresholdConfig, {"start": 2.0}, "must lie between minimum (0.0) and maximum (1.0), is 2.0"),
        (ThresholdConfig, {"start": 0.0}, "must be greater than 0"),
        (ThresholdConfig, {"window": 19}, "must be at least 20"),
        (ThresholdConfig, {"lower_below": 0.8}, "must be less than raise_above (0.8), is 0.8"),
    ],
)
def test_mistakes_are_named(cls: Any, options: dict[str, Any], message: str) -> None:
    """What cannot be meant is refused where the pipeline is read."""
    with pytest.raises(OptionError, match=re.escape(message)):
        cls(**options)

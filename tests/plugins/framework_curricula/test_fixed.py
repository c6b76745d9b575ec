import numpy as np
import pytest
from curricula import CONTEXT, episode, shares

from framework_curricula.config import FixedConfig
from framework_curricula.fixed import Fixed


def test_tasks_are_drawn_by_weight() -> None:
    """In proportion to their weights, or equally often."""
    tasks = ["a", {"b": 1}, [3]]
    weighted = Fixed(FixedConfig(tasks=tasks, weights=[1, 2, 5]), CONTEXT)
    np.testing.assert_allclose(shares(weighted, tasks), [0.125, 0.25, 0.625], atol=0.01)
    assert weighted.minimum_probability == 0.125
    equal = Fixed(FixedConfig(tasks=tasks), CONTEXT)
    np.testing.assert_allclose(shares(equal, tasks), [1 / 3] * 3, atol=0.01)
    assert equal.minimum_probability == pytest.approx(1 / 3)


def test_only_the_generator_decides() -> None:
    """The same one draws the same tasks, whatever episodes came back."""
    curriculum = Fixed(FixedConfig(count=100), CONTEXT)
    before = curriculum.sample(50, np.random.default_rng(3))
    assert curriculum.update([episode(5, True)]) == {}
    assert curriculum.sample(50, np.random.default_rng(3)) == before
    assert curriculum.sample(50, np.random.default_rng(4)) != before

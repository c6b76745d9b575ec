import numpy as np
import pytest

from framework.errors import RunError
from framework_curricula.tasks import TaskList, effective_tasks, proportional


def test_tasks_are_found_again_by_value() -> None:
    """Whatever the order of a table's keys; what was never in the list is left out."""
    tasks = TaskList([{"size": 5, "keys": [1, 2]}, 1, True, "1"])
    results = [(True, 0.5), ({"keys": [1, 2], "size": 5}, 1.0), (1, 2.0), (True, 3.0), (7, 4.0), (None, 5.0)]
    assert tasks.by_place(results) == {2: [0.5, 3.0], 0: [1.0], 1: [2.0]}


def test_probabilities_are_proportional_with_a_uniform_share() -> None:
    """They sum to 1, no task has less than the uniform share gives it, and without weights all are equal."""
    weights = np.array([3.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(proportional(weights), [0.75, 0.25, 0, 0])
    np.testing.assert_allclose(proportional(weights, 0.2), [0.65, 0.25, 0.05, 0.05])
    np.testing.assert_allclose(proportional(np.zeros(4)), [0.25] * 4)


@pytest.mark.parametrize(
    ("probabilities", "expected"), [([0.25] * 4, 4.0), ([1.0, 0.0, 0.0], 1.0), ([0.5, 0.5, 0.0], 2.0)]
)
def test_effective_tasks_count_equal_choices(probabilities: list[float], expected: float) -> None:
    """A uniform choice of k tasks counts as k."""
    assert effective_tasks(np.array(probabilities)) == pytest.approx(expected)


def test_what_was_saved_must_be_of_as_many_tasks() -> None:
    """A run that is resumed with other tasks says so; the array is a copy."""
    tasks = TaskList([1, 2, 3])
    saved = np.array([[0.5, 0.25, 1.0]])
    restored = tasks.restored(saved)
    restored[:] = 0
    assert saved.any()
    with pytest.raises(RunError, match="saved with 2 tasks and has 3 now"):
        tasks.restored([[0.5, 0.5]])

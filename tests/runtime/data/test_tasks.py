from typing import Any

import numpy as np
import pytest
from counting import Counting
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import RunError
from framework.runtime.data.tasks import decode_tasks, draw_tasks, encode_tasks, in_order

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.lists(PLAIN, max_size=5))
def test_tasks_survive_the_way(tasks: list[Any]) -> None:
    """Plain values come back as they were, floats to the last bit."""
    array = encode_tasks(tasks)
    assert array.dtype == np.uint8
    assert decode_tasks(array) == tasks


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.binary(max_size=40) | st.sampled_from([b"[" * 100_000, b"{}", b'"x"', b"[1", b"\xff"]))
def test_other_bytes_are_refused(data: bytes) -> None:
    """Whatever is not a list of plain values raises ValueError and nothing else."""
    try:
        tasks = decode_tasks(np.frombuffer(data, np.uint8))
    except ValueError:
        return
    assert isinstance(tasks, list)


@pytest.mark.parametrize("task", [float("nan"), object(), {1, 2}, b"bytes"])
def test_what_is_not_plain_cannot_be_sent(task: Any) -> None:
    """A curriculum's task that is no plain value is named as the mistake that it is."""
    curriculum = Counting()
    curriculum.sample = lambda count, rng: [task] * count  # type: ignore[method-assign]
    with pytest.raises(RunError, match="no plain value"):
        draw_tasks(curriculum, 2, 0, 0)


def test_every_task_comes_once_before_any_comes_again() -> None:
    """The order is a permutation that follows from the seed, over and over."""
    order = in_order(range(7), 3)
    first, second = [next(order) for _ in range(7)], [next(order) for _ in range(7)]
    assert sorted(first) == list(range(7))
    assert first == second
    repeated, reseeded = in_order(range(7), 3), in_order(range(7), 4)
    assert [next(repeated) for _ in range(7)] == first != [next(reseeded) for _ in range(7)]


def test_without_tasks_there_is_none() -> None:
    """Environments then get no task at all."""
    order = in_order((), 0)
    assert [next(order) for _ in range(3)] == [None] * 3


def test_tasks_of_a_version_follow_from_the_seed() -> None:
    """Drawn again for the same version they are the same; for another version or seed they are not."""
    curriculum = Counting()
    tasks = decode_tasks(draw_tasks(curriculum, 4, 1, 5))
    assert len(tasks) == 4
    assert decode_tasks(draw_tasks(curriculum, 4, 1, 5)) == tasks
    assert decode_tasks(draw_tasks(curriculum, 4, 1, 6)) != tasks
    assert decode_tasks(draw_tasks(curriculum, 4, 2, 5)) != tasks


def test_a_curriculum_must_give_what_it_was_asked_for() -> None:
    """Too many tasks are a mistake that is named."""
    with pytest.raises(RunError, match="asked for 4 tasks and gave 5"):
        draw_tasks(Counting(extra=1), 4, 0, 0)

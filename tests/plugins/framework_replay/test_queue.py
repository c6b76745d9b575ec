"""Numbered rows, against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_replay.queue import Queue


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 25), st.booleans()), max_size=20))
def test_rows_keep_their_numbers(operations):
    """Each row is what was pushed under its number, however many came and went, saved and loaded or not."""
    queue, model = Queue(), []
    for count, dropped, reload in operations:
        rows = np.arange(len(model), len(model) + count, dtype=np.int16)
        assert queue.push({"a": rows, "b": np.stack((rows, -rows), axis=1)}).tolist() == rows.tolist()
        model += rows.tolist()
        queue.drop(min(queue.first + dropped, queue.next))
        if reload:
            state, queue = queue.state_dict(), Queue()
            queue.load_state_dict(state)
        numbers = np.arange(queue.first, queue.next)
        assert queue.next == len(model)
        np.testing.assert_array_equal(queue.take("a", numbers), model[queue.first :])
        np.testing.assert_array_equal(queue.take("b", numbers)[:, 1], -numbers)


def test_memory_follows_what_is_kept():
    """A million rows, ten at once, need room for tens."""
    queue = Queue()
    for _ in range(1000):
        queue.drop(queue.next - 10)
        queue.push({"a": np.zeros((10, 4))})
    assert len(queue._arrays["a"]) < 50

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.runtime.data.failures import TOLD, Failure, Failures, decode_failures, encode_failures

TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # also halves of surrogate pairs
FAILURES = st.builds(Failure, st.integers(0), st.integers(0), st.sampled_from(["step", "reset"]), TEXT, TEXT)


@settings(derandomize=True, deadline=None, database=None)
@given(told=st.lists(FAILURES, max_size=TOLD), more=st.integers(0, 10**9))
def test_failures_travel_as_bytes(told: list[Failure], more: int) -> None:
    """Whatever an exception's text holds."""
    failures = Failures(len(told) + more, tuple(told))
    array = encode_failures(failures)
    assert (array.dtype, array.ndim) == (np.uint8, 1)
    assert decode_failures(array) == failures


ROW = [0, 1, "step", "gone", ""]


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        7,
        ["1", ROW],
        [True],
        [-1],
        [0, ROW],
        [99, *[ROW] * (TOLD + 1)],
        [1, ROW[:-1]],
        [1, [*ROW, ""]],
        [1, [0.0, *ROW[1:]]],
        [1, [0, True, *ROW[2:]]],
        [1, [*ROW[:-1], None]],
        [1, "step"],
    ],
)
def test_other_bytes_are_refused(values: Any) -> None:
    """They come from another process."""
    with pytest.raises(ValueError, match="failure"):
        decode_failures(np.frombuffer(json.dumps(values).encode(), np.uint8))


@pytest.mark.parametrize("text", [b"", b"[1", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """As a ValueError, also where it is nested too deeply to be read."""
    with pytest.raises(ValueError):  # noqa: PT011  # each in the words of its reader
        decode_failures(np.frombuffer(text, np.uint8))

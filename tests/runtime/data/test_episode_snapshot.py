import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.runtime.data.episode_snapshot import LIMIT, EpisodeSnapshot, decode_snapshots, encode_snapshots
from framework.runtime.link.wire import decode, encode

SNAPSHOTS = st.builds(
    EpisodeSnapshot, st.binary(max_size=20), st.floats(allow_nan=False), st.integers(min_value=0, max_value=2**62)
)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.lists(st.none() | SNAPSHOTS, max_size=5))
def test_snapshots_survive_the_wire(snapshots: list[EpisodeSnapshot | None]) -> None:
    """Bit for bit, empty ones and none told apart, among other arrays; none of no environment."""
    arrays = encode_snapshots(snapshots) | {"other": np.zeros(3)}
    frames = encode("directive", arrays, shard=0, number=5, version=5, restore=True)
    message = decode([bytes(frame) for frame in frames], limit=1 << 20)
    assert decode_snapshots(message.arrays) == tuple(snapshots)


@pytest.mark.parametrize(
    ("sizes", "count"),
    [([2, -2], 2), ([2, 1], 2), ([-1, 1], 2), ([-1, -1], 1), ([LIMIT + 1, -1], LIMIT + 1), ([2**62, 2**62], 0)],
)
def test_other_arrays_are_refused(sizes: list[int], count: int) -> None:
    """Sizes that are not those of the bytes, negative ones, and those of more than a snapshot may have."""
    arrays = encode_snapshots([None, None])
    arrays |= {"snapshots/bytes": np.array(sizes, np.int64), "snapshots/data": np.zeros(count, np.uint8)}
    with pytest.raises(ValueError, match="bytes"):
        decode_snapshots(arrays)

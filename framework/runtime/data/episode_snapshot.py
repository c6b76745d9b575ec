"""Snapshots of episodes: where an environment stands, in bytes that nobody but such an environment reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

#: Bytes that an environment may give.
GIVEN_LIMIT = 2**22
#: Bytes that one may have, with the code that tells who wrote it.
LIMIT = GIVEN_LIMIT + 64
#: Steps of an episode after which the next one is due.
INTERVAL = 1000


@frozen
class EpisodeSnapshot:
    """An episode after some of its steps."""

    data: bytes  #: what the environment gave, sealed
    episode_return: float  #: so far
    length: int  #: its steps so far


def encode_snapshots(snapshots: Sequence[EpisodeSnapshot | None]) -> dict[str, np.ndarray]:
    """One or None for each of N environments as arrays: ``snapshots/data`` [bytes] uint8, and others [N]."""
    if not snapshots:
        return {}
    rows = [
        (-1, 0.0, 0) if taken is None else (len(taken.data), taken.episode_return, taken.length) for taken in snapshots
    ]
    sizes, returns, lengths = zip(*rows, strict=True)
    return {
        "snapshots/data": np.frombuffer(b"".join(taken.data for taken in snapshots if taken is not None), np.uint8),
        "snapshots/bytes": np.array(sizes, np.int64),
        "snapshots/return": np.array(returns, np.float64),
        "snapshots/length": np.array(lengths, np.int64),
    }


def decode_snapshots(arrays: Mapping[str, np.ndarray]) -> tuple[EpisodeSnapshot | None, ...]:
    """What `encode_snapshots` was given, among other arrays. Raises ValueError for what cannot be its result."""
    if "snapshots/data" not in arrays:
        return ()
    data, sizes = arrays["snapshots/data"].tobytes(), arrays["snapshots/bytes"]
    if sizes.min() < -1 or sizes.max() > LIMIT:
        raise ValueError(f"a snapshot has from 0 to {LIMIT} bytes, or is none, which is -1")
    ends = np.cumsum(sizes.clip(0))
    if ends[-1] != len(data):
        raise ValueError(f"{len(data)} bytes for snapshots of {sizes.tolist()}")
    returns, lengths = arrays["snapshots/return"].tolist(), arrays["snapshots/length"].tolist()
    columns = zip(sizes.tolist(), ends.tolist(), returns, lengths, strict=True)
    return tuple(
        None if size < 0 else EpisodeSnapshot(data[end - size : end], episode_return, length)
        for size, end, episode_return, length in columns
    )

"""Ring buffers of one observation leaf: of whole observations, or of the single frames of frame stacks.

Steps are counted from 0 for ever; step ``t`` of column ``n`` has the id ``t * columns + n``, and its place in a ring is
the remainder of the id.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from framework_replay.queue import Queue

#: Share of the successive observations of the first batch that must overlap for frames to be shared.
_OVERLAP = 0.9


def make(rows: int, values: np.ndarray, first: np.ndarray, *, share_frames: bool) -> Whole | Frames:
    """A store of the last ``rows`` observations, for a leaf that looks like ``values`` [T + 1, N, ...].

    Frames are shared where the leaf holds integers and nearly all of its successive observations of one episode
    (``first`` [T + 1, N] marks the start of each) are stacks that have moved on by one frame.
    """
    shape = values.shape[2:]
    stacked = share_frames and values.dtype.kind in "iub" and len(shape) > 1 and 1 < shape[0] < 256
    pairs = ~first[1:]
    if stacked and pairs.any() and overlap(values)[pairs].mean() >= _OVERLAP:
        return Frames(rows, values.shape[1], shape, values.dtype)
    return Whole(rows, values.shape[1], shape, values.dtype)


def restore(rows: int, columns: int, state: dict[str, Any]) -> Whole | Frames:
    """The store whose ``state_dict`` gave ``state``."""
    ring = state["ring"]
    leaf = (
        Frames(rows, columns, (state["depth"], *ring.shape[1:]), ring.dtype)
        if "depth" in state
        else Whole(rows, columns, ring.shape[1:], ring.dtype)
    )
    leaf.load_state_dict(state)
    return leaf


def overlap(values: np.ndarray) -> np.ndarray:
    """[T, N] bool: whether each stack of ``values`` [T + 1, N, K, ...] is the previous one, shifted by one frame."""
    same = np.equal(values[1:, :, :-1], values[:-1, :, 1:])
    alike: np.ndarray = same.all(axis=tuple(range(2, same.ndim)))
    return alike


class Whole:
    """A ring buffer of whole observations."""

    def __init__(self, rows: int, columns: int, shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._ring = np.zeros((rows * columns, *shape), dtype)

    def write(self, step: int, values: np.ndarray, restart: np.ndarray) -> None:
        """Store the observations of ``step`` and those after it, ``values`` [T + 1, N, ...].

        That of ``step`` itself is new in the columns that ``restart`` [N] marks; elsewhere it is known already.
        """
        put(self._ring, step * values.shape[1], values)

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Observations [B, ...], as a copy."""
        return self._ring.take(ids % len(self._ring), axis=0, mode="clip")

    def state_dict(self, filled: int) -> dict[str, Any]:
        """The first ``filled`` places, which are all that were written."""
        return {"ring": self._ring[:filled].copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._ring[: len(state["ring"])] = state["ring"]


class Frames:
    """A ring buffer of single frames, from which stacks of K frames are rebuilt.

    A stack that is not the one before it moved on by a frame, such as the first of an episode, is a *key*: its K - 1
    older frames are kept beside the ring. Any stack is its column's last frames, but for those before its last key.
    So whatever is stored comes back, and what is no stack only takes more memory.
    """

    def __init__(self, rows: int, columns: int, shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._depth, self._columns = shape[0], columns
        places = (rows + self._depth - 1) * columns
        self._ring = np.zeros((places, *shape[1:]), dtype)
        self._age = np.zeros(places, np.uint8)  #: steps since the key, at most K - 1
        self._key = np.zeros(places, np.int64)  #: number of the key
        self._keys = Queue()
        self._keys_after = np.zeros(places // columns, np.int64)  #: number of the next key, after each row

    def write(self, step: int, values: np.ndarray, restart: np.ndarray) -> None:
        """As `Whole.write`."""
        rows, columns = values.shape[:2]
        places = len(self._keys_after)
        if step + rows > places:
            self._keys.drop(int(self._keys_after[(step + rows - 1) % places]))
        fresh = np.concatenate((restart[None], ~overlap(values)))
        numbers = np.zeros(fresh.shape, np.int64)
        after = self._keys.next + fresh.sum(axis=1).cumsum()
        if fresh.any():
            numbers[fresh] = self._keys.push({"key": values[fresh][:, :-1]})
        place = step % places * columns
        age, key = np.empty((rows, columns), np.uint8), np.empty((rows, columns), np.int64)
        age[0] = np.where(restart, 0, self._age[place : place + columns])
        key[0] = np.where(restart, numbers[0], self._key[place : place + columns])
        for row in range(1, rows):
            age[row] = np.where(fresh[row], 0, np.minimum(age[row - 1] + 1, self._depth - 1))
            key[row] = np.where(fresh[row], numbers[row], key[row - 1])
        for ring, new in ((self._ring, values[:, :, -1]), (self._age, age), (self._key, key)):
            put(ring, step * columns, new)
        put(self._keys_after, step, after[:, None])

    def take(self, ids: np.ndarray) -> np.ndarray:
        """As `Whole.take`."""
        back = np.arange(self._depth - 1, -1, -1)  #: steps from each frame of a stack to its last one
        stacks = self._ring.take((ids[:, None] - back * self._columns) % len(self._ring), axis=0)
        place = ids % len(self._ring)
        age = self._age.take(place)
        if age.min() < self._depth - 1:
            row, frame = np.nonzero(back > age[:, None])
            numbers, inverse = np.unique(self._key.take(place[row]), return_inverse=True)
            stacks[row, frame] = self._keys.take("key", numbers)[inverse, frame + age[row]]
        return stacks

    def state_dict(self, filled: int) -> dict[str, Any]:
        """As `Whole.state_dict`."""
        extra = (self._depth - 1) * self._columns
        rings = {name: getattr(self, f"_{name}")[: filled + extra].copy() for name in ("ring", "age", "key")}
        return rings | {"depth": self._depth, "keys": self._keys.state_dict(), "keys_after": self._keys_after.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `Whole.load_state_dict`."""
        for name in ("ring", "age", "key", "keys_after"):
            getattr(self, f"_{name}")[: len(state[name])] = state[name]
        self._keys.load_state_dict(state["keys"])


def put(ring: np.ndarray, start: int, values: np.ndarray) -> None:
    """Write ``values`` [T, N, ...] to successive places of a ring, from ``start`` on."""
    shape = values.shape
    values = values.reshape(shape[0] * shape[1], *shape[2:])
    place = start % len(ring)
    room = len(ring) - place
    ring[place : place + len(values)] = values[:room]
    if len(values) > room:
        ring[: len(values) - room] = values[room:]

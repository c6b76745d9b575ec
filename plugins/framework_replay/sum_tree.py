"""A sum tree in float64: leaves found by prefix sum and changed many at a time.

Each node has 8 children, which fill a cache line, and beside each stands the sum of those before it. A search takes all
targets through one level before it goes to the next: so their memory is fetched side by side.
"""

from __future__ import annotations

import numpy as np

from framework.errors import FrameworkError
from framework_replay.loops import WIDTH, find, refresh, set_leaves


class SumTree:
    """``size`` non-negative leaves, initially 0, and their sums."""

    def __init__(self, size: int):
        self.size = size
        levels = [_whole(size)]
        while levels[-1] > WIDTH:
            levels.append(_whole(levels[-1] // WIDTH))
        #: Where each level starts in the arrays below: first comes the root, alone in a row of 8, and last the leaves.
        self._starts = np.cumsum([0, WIDTH, *reversed(levels[1:])]).astype(np.uint64)
        self._sums = _zeros(WIDTH + sum(levels))  #: of the leaves under a node, or the leaf's value
        self._before = _zeros(WIDTH + sum(levels))  #: sum of a node's siblings before it; see `add_up`

    @property
    def leaves(self) -> np.ndarray:
        """[size] float64; to be read only."""
        return self._sums[int(self._starts[-1]) :][: self.size]

    @property
    def total(self) -> float:
        """The sum of all leaves."""
        return float(self._sums[0])

    def set(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set the leaves at ``index`` [B]; of several values for one leaf the last counts."""
        set_leaves(self._sums, self._before, self._starts, index.astype(np.uint64), values)

    def fill(self, start: int, values: np.ndarray) -> None:
        """Set successive leaves, from ``start`` on and not beyond the end."""
        self.leaves[start : start + len(values)] = values
        refresh(self._sums, self._before, self._starts, np.uint64(start), np.uint64(start + len(values) - 1))

    def find(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The leaf at each share [B] of the cumulative sum, and its value.

        A leaf of 0 is never found. Sorted shares are found faster. Raises `FrameworkError` where all leaves are 0.
        """
        total = self.total
        if not total > 0:
            raise FrameworkError("a sum tree whose leaves are all 0 was searched: set some first")
        index, values = np.zeros(len(shares), np.uint64), np.empty(len(shares))
        find(self._sums, self._before, self._starts, shares * total, index, values)
        return index.view(np.int64), values

    def state_dict(self) -> dict[str, np.ndarray]:
        """All leaves: the sums follow from them, bit for bit."""
        return {"leaves": self.leaves.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self.fill(0, state["leaves"])


def _whole(count: int) -> int:
    return -(-count // WIDTH) * WIDTH


def _zeros(count: int) -> np.ndarray:
    """[count] float64 that start with a cache line."""
    zeros = np.zeros(count + WIDTH)
    first = -zeros.ctypes.data % (WIDTH * zeros.itemsize) // zeros.itemsize
    return zeros[first : first + count]

"""A sum tree in float64: leaves found by prefix sum and changed many at a time, compiled by Numba.

Each node has 8 children, which fill a cache line, and beside each stands the sum of those before it. A search takes all
targets through one level before it goes to the next: so their memory is fetched side by side.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from framework.errors import FrameworkError

_WIDTH, _BITS = 8, np.uint64(3)
_ONE, _TWO, _FOUR = np.uint64(1), np.uint64(2), np.uint64(4)
compiled = njit(cache=True, nogil=True, no_cfunc_wrapper=True)  # which nobody calls, and a first start waits for


class SumTree:
    """``size`` non-negative numbers, 0 at first, and their sums."""

    def __init__(self, size: int):
        self.size = size
        levels = [_whole(size)]
        while levels[-1] > _WIDTH:
            levels.append(_whole(levels[-1] // _WIDTH))
        #: Where each level starts in the arrays below: first comes the root, alone in a row of 8, and last the leaves.
        self._starts = np.cumsum([0, _WIDTH, *reversed(levels[1:])]).astype(np.uint64)
        self._sums = _zeros(_WIDTH + sum(levels))  #: of the leaves under a node, or the leaf's value
        self._before = _zeros(_WIDTH + sum(levels))  #: sum of a node's siblings before it; see `_add_up`

    @property
    def leaves(self) -> np.ndarray:
        """[size] float64; to be read only."""
        return self._sums[int(self._starts[-1]) :][: self.size]

    @property
    def total(self) -> float:
        """The sum of all leaves."""
        return float(self._sums[0])

    def set(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set the leaves at ``index`` [B]; where one stands there twice, the later value counts."""
        _set(self._sums, self._before, self._starts, index.astype(np.uint64), values)

    def fill(self, start: int, values: np.ndarray) -> None:
        """Set successive leaves, from ``start`` on and not beyond the end."""
        self.leaves[start : start + len(values)] = values
        _refresh(self._sums, self._before, self._starts, np.uint64(start), np.uint64(start + len(values) - 1))

    def find(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The leaf that each share [B] of the total falls on when leaves lie side by side, and its value.

        A leaf of 0 is never found. Sorted shares are found faster. Raises `FrameworkError` where all leaves are 0.
        """
        total = self.total
        if not total > 0:
            raise FrameworkError("a sum tree whose leaves are all 0 was searched: set some first")
        index, values = np.zeros(len(shares), np.uint64), np.empty(len(shares))
        _find(self._sums, self._before, self._starts, shares * total, index, values)
        return index.view(np.int64), values

    def state_dict(self) -> dict[str, np.ndarray]:
        """All leaves: the sums follow from them, bit for bit."""
        return {"leaves": self.leaves.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self.fill(0, state["leaves"])


def _whole(count: int) -> int:
    return -(-count // _WIDTH) * _WIDTH


def _zeros(count: int) -> np.ndarray:
    """[count] float64 that start with a cache line."""
    zeros = np.zeros(count + _WIDTH)
    first = -zeros.ctypes.data % (_WIDTH * zeros.itemsize) // zeros.itemsize
    return zeros[first : first + count]


# Below, places are unsigned: of a signed one Numba asks each time whether it counts from the end.


@compiled
def _find(sums, before, starts, rest, index, values):
    """Turn ``index``, of zeros, into the leaf that each target ``rest`` falls on; changes both.

    A node's eight children are searched by halves, without a branch to mispredict.
    """
    for start in starts[1:]:
        for at in range(len(rest)):
            first, target = start + (index[at] << _BITS), rest[at]
            child = np.uint64(before[first + _FOUR] <= target) << _TWO
            child += np.uint64(before[first + child + _TWO] <= target) << _ONE
            child += np.uint64(before[first + child + _ONE] <= target)
            rest[at] = target - before[first + child]
            index[at] = (index[at] << _BITS) + child
    for at in range(len(rest)):
        values[at] = sums[starts[-1] + index[at]]


@compiled
def _set(sums, before, starts, index, values):
    """Set leaves, and the sums above them; changes ``index``.

    A sum is taken once for all neighbours in ``index`` that are under it.
    """
    for at in range(len(index)):
        sums[starts[-1] + index[at]] = values[at]
    count = len(index)
    for level in range(len(starts) - 1, 0, -1):
        nodes, last = 0, starts[-1]  # which is more than any node's number
        for at in range(count):
            node = index[at] >> _BITS
            if node != last:
                sums[starts[level - 1] + node] = _add_up(sums, before, starts[level] + (node << _BITS))
                index[nodes] = last = node
                nodes += 1
        count = nodes


@compiled
def _refresh(sums, before, starts, first, last):
    """Set the sums above the leaves ``first`` to ``last``."""
    for level in range(len(starts) - 1, 0, -1):
        first, last = first >> _BITS, last >> _BITS
        for node in range(first, last + _ONE):
            sums[starts[level - 1] + node] = _add_up(sums, before, starts[level] + (node << _BITS))


@compiled
def _add_up(sums, before, first):
    """The sum of the eight children from ``first`` on; writes down what is before each.

    Before those at the end that are 0 it writes infinity: rounding may take a target there, and must not.
    """
    total = 0.0
    for child in range(_WIDTH):
        before[first + np.uint64(child)] = total
        total += sums[first + np.uint64(child)]
    last = first + np.uint64(_WIDTH - 1)
    while last > first and not sums[last]:
        before[last] = np.inf
        last -= _ONE
    return total

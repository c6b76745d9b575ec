"""A sum tree in float64: leaves found by prefix sum and changed many at a time, in few array operations.

Each node has 8 children; where there are no more than 16,384 nodes, cumulative sums (PyTorch's are four times as fast
as numpy's) and binary search are cheaper than further levels. Inside a node there is no branch to mispredict: the sums
of the children before each child come from one product with a triangular matrix, and how many of them lie at or below
the target is counted in the eight bytes that their comparison makes.
"""

from __future__ import annotations

import numpy as np
import torch

from framework.errors import FrameworkError

_WIDTH, _BITS = 8, 3
_TOP = 16_384
_BEFORE = np.triu(np.ones((_WIDTH, _WIDTH)), 1)
_ONES = np.ones(_WIDTH)
#: Times eight bytes that are 0 or 1, its highest byte is the sum of all but the first one (in memory).
_COUNT = np.uint64(0x0001010101010101)
_HIGHEST = np.uint64(56)


class SumTree:
    """``size`` non-negative numbers, 0 at first, and their sums."""

    def __init__(self, size: int):
        self.size = size
        depth = 0
        while -(-size // _WIDTH**depth) > _TOP:
            depth += 1
        top = -(-size // _WIDTH**depth)
        self._levels = [np.zeros(top * _WIDTH**level) for level in range(depth, -1, -1)]  #: leaves first
        self._nodes = [level.reshape(-1, _WIDTH) for level in self._levels[:-1]]  #: children side by side
        self._top = torch.from_numpy(self._levels[-1])
        self._sums = np.zeros(top + 1)  #: those of the top level before each of its nodes, and the total
        self._sums_after = torch.from_numpy(self._sums[1:])

    @property
    def leaves(self) -> np.ndarray:
        """[size] float64; to be read only."""
        return self._levels[0][: self.size]

    @property
    def total(self) -> float:
        """The sum of all leaves."""
        return float(self._cumulated()[-1])

    def set(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set the leaves at ``index`` [B]; where one stands there twice, the later value counts."""
        self._levels[0][index] = values
        for nodes, above in zip(self._nodes, self._levels[1:], strict=True):
            index = index >> _BITS
            above[index] = nodes.take(index, axis=0, mode="clip").dot(_ONES)

    def fill(self, start: int, values: np.ndarray) -> None:
        """Set successive leaves, from ``start`` on and not beyond the end."""
        self._levels[0][start : start + len(values)] = values
        first, last = start, start + len(values) - 1
        for nodes, above in zip(self._nodes, self._levels[1:], strict=True):
            first, last = first >> _BITS, last >> _BITS
            above[first : last + 1] = nodes[first : last + 1] @ _ONES

    def find(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The leaf that each share [B] of the total falls on when leaves lie side by side, and its value.

        A leaf of 0 is never found. Where rounding puts a share on one, or behind the last, the nearest positive leaf
        before it stands in. Sorted shares are found faster. Raises `FrameworkError` where all leaves are 0.
        """
        sums = self._cumulated()
        rest = shares * sums[-1]
        index = sums[:-1].searchsorted(rest, side="right") - 1
        rest -= sums.take(index)
        start = np.arange(0, len(rest) * _WIDTH, _WIDTH)
        for nodes in reversed(self._nodes):
            before = nodes.take(index, axis=0, mode="clip").dot(_BEFORE)
            passed = (before <= rest[:, None]).reshape(-1).view(np.uint64)
            passed *= _COUNT
            passed >>= _HIGHEST
            child = passed.view(np.int64)
            rest -= before.take(start + child)
            index <<= _BITS
            index += child
        return self._positive(index)

    def state_dict(self) -> dict[str, list[np.ndarray]]:
        """All levels: parents summed anew could round otherwise."""
        return {"levels": [level.copy() for level in self._levels]}

    def load_state_dict(self, state: dict[str, list[np.ndarray]]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        for level, saved in zip(self._levels, state["levels"], strict=True):
            level[:] = saved

    def _cumulated(self) -> np.ndarray:
        torch.cumsum(self._top, 0, out=self._sums_after)
        return self._sums

    def _positive(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        leaves = self._levels[0]
        values = leaves.take(index)
        if not np.minimum.reduce(values) > 0:
            positive = np.flatnonzero(leaves)
            if not len(positive):
                raise FrameworkError("a sum tree whose leaves are all 0 was searched: set some first")
            index = positive[np.maximum(positive.searchsorted(index, side="right") - 1, 0)]
            values = leaves.take(index)
        return index, values

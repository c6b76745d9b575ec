"""The loops of this plugin in NumPy: the same additions in the same order, and so the same bits, as compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WIDTH = 8
_BITS = 3


def find(
    sums: np.ndarray, before: np.ndarray, starts: np.ndarray, rest: np.ndarray, index: np.ndarray, values: np.ndarray
) -> None:
    """Set ``index``, of zeros, to the leaf at each target ``rest`` of the cumulative sum; changes both."""
    places, rows = np.zeros(len(rest), np.int64), np.arange(len(rest))
    for start in starts[1:].astype(np.int64):
        children = before[(start + (places << _BITS))[:, None] + np.arange(WIDTH)]
        child = np.count_nonzero(children[:, 1:] <= rest[:, None], axis=1)
        rest -= children[rows, child]
        places = (places << _BITS) + child
    index[:] = places
    values[:] = sums[int(starts[-1]) + places]


def set_leaves(sums: np.ndarray, before: np.ndarray, starts: np.ndarray, index: np.ndarray, values: np.ndarray) -> None:
    """Set leaves, of which the later value counts, and the sums above them."""
    nodes = index.astype(np.int64)
    sums[int(starts[-1]) + nodes] = values
    _sum_above(sums, before, starts, nodes)


def refresh(sums: np.ndarray, before: np.ndarray, starts: np.ndarray, first: int, last: int) -> None:
    """Set the sums above the leaves ``first`` to ``last``."""
    _sum_above(sums, before, starts, np.arange(int(first), int(last) + 1))


def _sum_above(sums: np.ndarray, before: np.ndarray, starts: np.ndarray, nodes: np.ndarray) -> None:
    for level in range(len(starts) - 1, 0, -1):
        nodes = np.unique(nodes >> _BITS)
        sums[int(starts[level - 1]) + nodes] = add_up(sums, before, int(starts[level]) + (nodes << _BITS))


def add_up(sums: np.ndarray, before: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The sums [B] of the eight children from each of ``first`` [B] on; also sets their prefix sums ``before``.

    Those of trailing zeros are infinite: rounding may take a target there, and must not.
    """
    total = np.zeros(len(first))
    for child in range(WIDTH):
        before[first + child] = total
        total = total + sums[first + child]
    empty = np.ones(len(first), bool)
    for child in range(WIDTH - 1, 0, -1):
        empty &= sums[first + child] == 0.0
        before[first[empty] + child] = np.inf
    return total


def stratify(shares: np.ndarray) -> None:
    """Stratify B uniform shares, in place: the i-th is moved into the i-th of B equal parts."""
    shares += np.arange(len(shares))
    shares /= len(shares)


def to_ids(places: np.ndarray, next_id: int, count: int) -> None:
    """Turn places of a ring buffer of ``count`` into their newest ids, in place."""
    places[:] = next_id - count + (places - next_id) % count


def power(priority: Any, epsilon: float, alpha: float) -> Any:
    """``(priority + epsilon) ** alpha``, of a number or of an array."""
    if np.ndim(priority) == 0:
        return math.pow(priority + epsilon, alpha)
    return _powers(np.asarray(priority, np.float64) + epsilon, alpha)


def weights_of(leaves: np.ndarray, beta: float) -> np.ndarray:
    """Importance weights ``(leaf / smallest leaf) ** -beta``, float32."""
    return _powers(leaves.min() / leaves, beta).astype(np.float32)


def _powers(bases: np.ndarray, exponent: float) -> np.ndarray:
    # One by one, as the C library does it: NumPy's own differ in their last bit.
    return np.array([math.pow(base, exponent) for base in bases.ravel().tolist()]).reshape(bases.shape)


def surveyed(ids: np.ndarray, priorities: np.ndarray) -> tuple[int, float, int, int]:
    """Index of the first invalid priority or -1, largest priority, lowest and highest id."""
    wrong = np.flatnonzero(~((priorities >= 0) & (priorities < np.inf)))
    if len(wrong):
        return int(wrong[0]), 0.0, 0, 0
    return -1, float(priorities.max(initial=0.0)), int(ids.min()), int(ids.max())

"""The loops of this plugin, compiled by Numba; `framework_replay.plain` has the same in NumPy."""

from __future__ import annotations

import numpy as np
from numba import njit

WIDTH = 8
_BITS = np.uint64(3)
_ONE, _TWO, _FOUR = np.uint64(1), np.uint64(2), np.uint64(4)
_compiled = njit(cache=True, nogil=True, no_cfunc_wrapper=True)  # which nobody calls, and a first start waits for

# Below, places are unsigned: of a signed one Numba asks each time whether it counts from the end.


@_compiled
def find(sums, before, starts, rest, index, values):
    """Set ``index``, of zeros, to the leaf at each target ``rest`` of the cumulative sum; changes both.

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


@_compiled
def set_leaves(sums, before, starts, index, values):
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
                sums[starts[level - 1] + node] = add_up(sums, before, starts[level] + (node << _BITS))
                index[nodes] = last = node
                nodes += 1
        count = nodes


@_compiled
def refresh(sums, before, starts, first, last):
    """Set the sums above the leaves ``first`` to ``last``."""
    for level in range(len(starts) - 1, 0, -1):
        first, last = first >> _BITS, last >> _BITS
        for node in range(first, last + _ONE):
            sums[starts[level - 1] + node] = add_up(sums, before, starts[level] + (node << _BITS))


@_compiled
def add_up(sums, before, first):
    """The sum of the eight children from ``first`` on; also sets their prefix sums ``before``.

    Those of trailing zeros are infinite: rounding may take a target there, and must not.
    """
    total = 0.0
    for child in range(WIDTH):
        before[first + np.uint64(child)] = total
        total += sums[first + np.uint64(child)]
    last = first + np.uint64(WIDTH - 1)
    while last > first and not sums[last]:
        before[last] = np.inf
        last -= _ONE
    return total


@_compiled
def stratify(shares):
    """Stratify B uniform shares, in place: the i-th is moved into the i-th of B equal parts."""
    for at in range(len(shares)):
        shares[at] = (shares[at] + at) / len(shares)


@_compiled
def to_ids(places, next_id, count):
    """Turn places of a ring buffer of ``count`` into their newest ids, in place."""
    for at in range(len(places)):
        places[at] = next_id - count + (places[at] - next_id) % count


@_compiled
def power(priority, epsilon, alpha):
    """``(priority + epsilon) ** alpha``, of a number or of an array."""
    return (priority + epsilon) ** alpha


@_compiled
def weights_of(leaves, beta):
    """Importance weights ``(leaf / smallest leaf) ** -beta``, float32."""
    smallest, weights = leaves.min(), np.empty(len(leaves), np.float32)
    for at in range(len(leaves)):
        weights[at] = (smallest / leaves[at]) ** beta
    return weights


@_compiled
def surveyed(ids, priorities):
    """Index of the first invalid priority or -1, largest priority, lowest and highest id."""
    largest, lowest, highest = 0.0, ids[0], ids[0]
    for at in range(len(ids)):
        if not 0 <= priorities[at] < np.inf:
            return at, largest, lowest, highest
        largest = max(largest, priorities[at])
        lowest, highest = min(lowest, ids[at]), max(highest, ids[at])
    return -1, largest, lowest, highest

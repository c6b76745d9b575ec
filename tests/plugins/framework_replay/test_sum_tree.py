"""The sum tree, against cumulative sums of its leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import FrameworkError
from framework_replay.sum_tree import SumTree

sizes = pytest.mark.parametrize("size", [1, 2, 7, 8, 2049, 16_384, 16_385, 131_073])


def filled(size, seed=0):
    rng = np.random.default_rng(seed)
    tree, values = SumTree(size), rng.random(size) * (rng.random(size) < 0.7)
    values[rng.integers(size)] = 1.0
    tree.fill(0, values)
    return tree, values, rng


@sizes
def test_find_is_a_search_in_the_cumulative_sum(size):
    """Shares that are not within rounding of an edge fall on the leaf where the cumulative sum passes them."""
    tree, values, rng = filled(size)
    edges = np.cumsum(values)
    shares = rng.random(2000)
    targets = shares * edges[-1]
    expected = edges.searchsorted(targets, side="right")
    clear = np.abs(edges[:, None] - targets).min(axis=0) > 1e-9 if size < 3000 else slice(None)
    np.testing.assert_array_equal(tree.find(shares)[0][clear], expected[clear])


@sizes
def test_find_never_gives_a_leaf_of_zero(size):
    """Not even at the ends, nor exactly on the edges."""
    tree, values, _ = filled(size)
    edges = np.concatenate(([0.0], np.cumsum(values)))
    shares = np.clip(edges / edges[-1], 0, 1)
    indices, leaves = tree.find(np.concatenate((shares, [0.0, 1.0])))
    assert (leaves > 0).all()
    np.testing.assert_array_equal(leaves, values[indices])
    assert indices[-1] == np.flatnonzero(values)[-1]
    assert indices[-2] == np.flatnonzero(values)[0]


def test_a_single_positive_leaf_is_always_found():
    """Wherever it stands among zeros."""
    tree = SumTree(20_000)
    for place in (0, 7, 8, 12_500, 19_999):
        tree.fill(0, np.zeros(20_000))
        tree.set(np.array([place]), np.array([1e-12]))
        assert (tree.find(np.linspace(0, 1, 9))[0] == place).all()


def test_a_tree_of_zeros_is_not_searched():
    """There is nothing to find, and the error says so."""
    with pytest.raises(FrameworkError, match="all 0"):
        SumTree(10).find(np.array([0.5]))


def test_the_last_of_several_values_counts():
    """As when they are set one after the other; the sums follow."""
    tree = SumTree(20_000)
    tree.set(np.array([4000, 3, 4000]), np.array([1.0, 2.0, 5.0]))
    assert tree.leaves[4000] == 5.0
    assert tree.total == 7.0


def test_the_total_stays_the_sum_of_the_leaves():
    """After 100,000 random changes, one by one, in batches and in rows, to 1e-9."""
    rng = np.random.default_rng(0)
    tree, model = SumTree(17_001), np.zeros(17_001)
    for _ in range(1000):
        index, values = rng.integers(0, 17_001, 90), rng.random(90) * 10.0 ** rng.integers(-6, 6, 90)
        tree.set(index, values)
        for place, value in zip(index, values, strict=True):
            model[place] = value
        start, row = int(rng.integers(0, 16_990)), rng.random(10)
        tree.fill(start, row)
        model[start : start + 10] = row
    np.testing.assert_array_equal(tree.leaves, model)
    assert tree.total == pytest.approx(model.sum(), rel=1e-9)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 40_000), st.integers(0, 2**32 - 1))
def test_every_way_of_setting_gives_the_same_sums(size, seed):
    """Rows and single leaves lead to the same tree, bit for bit, and so does loading it."""
    values = np.random.default_rng(seed).random(size)
    rows, single, loaded = SumTree(size), SumTree(size), SumTree(size)
    rows.fill(0, values)
    single.set(np.arange(size), values)
    loaded.load_state_dict(single.state_dict())
    assert rows.total == pytest.approx(single.total, rel=1e-12)
    np.testing.assert_equal(loaded.state_dict(), single.state_dict())
    shares = np.linspace(0, 1, 50)
    np.testing.assert_array_equal(loaded.find(shares)[0], single.find(shares)[0])


def test_leaves_are_drawn_in_proportion():
    """100,000 draws fit the leaves' shares (chi-square, at the 0.1 % level)."""
    tree, values, rng = filled(50, seed=3)
    counts = np.bincount(tree.find(rng.random(100_000))[0], minlength=50)
    expected = values / values.sum() * 100_000
    positive = expected > 0
    assert not counts[~positive].any()
    statistic = ((counts - expected)[positive] ** 2 / expected[positive]).sum()
    freedom = positive.sum() - 1
    assert statistic < freedom + 3.1 * np.sqrt(2 * freedom) + 5

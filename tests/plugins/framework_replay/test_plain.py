"""The loops in NumPy, against the compiled ones: equal bits."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_replay import compiled, loops, plain, sum_tree
from framework_replay.sum_tree import SumTree

seeds = given(st.integers(0, 2**32 - 1))
modest = settings(derandomize=True, deadline=None, max_examples=30)


def trees(monkeypatch: pytest.MonkeyPatch, size: int, seed: int) -> list[Any]:
    """What a tree answers after random changes, with each kind of loops."""
    results = []
    for kind in (compiled, plain):
        for name in ("find", "refresh", "set_leaves"):
            monkeypatch.setattr(sum_tree, name, getattr(kind, name))
        rng = np.random.default_rng(seed)
        tree = SumTree(size)
        values = rng.random(size) * (rng.random(size) < 0.5)
        values[rng.integers(size)] = 0.1
        tree.fill(0, values)
        for _ in range(3):
            index = rng.integers(0, size, 20)
            tree.set(index, rng.random(20) * (rng.random(20) < 0.8))
            start = int(rng.integers(size))
            tree.fill(start, rng.random(min(5, size - start)) + 0.01)
        results.append((tree.total, tree._sums.copy(), tree._before.copy(), *tree.find(rng.random(50))))
    return results


@pytest.mark.parametrize("size", [1, 7, 8, 65, 4097])
@pytest.mark.parametrize("seed", range(4))
def test_trees_are_the_same(monkeypatch: pytest.MonkeyPatch, size: int, seed: int) -> None:
    """Sums, what stands before them, and what is found, bit for bit."""
    for actual, expected in zip(*trees(monkeypatch, size, seed), strict=True):
        np.testing.assert_array_equal(actual, expected)


@modest
@seeds
def test_the_other_loops_are_the_same(seed: int) -> None:
    """Strata, ids, powers, weights, and the survey of priorities, of which the wrong ones are found."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    numbers, ids = rng.random(count), rng.integers(0, 1000, count)
    for name, arguments in {"stratify": (), "to_ids": (int(rng.integers(500, 2000)), 500)}.items():
        arrays = [(numbers if name == "stratify" else ids % 500).copy() for _ in range(2)]
        for kind, array in zip((compiled, plain), arrays, strict=True):
            getattr(kind, name)(array, *arguments)
        np.testing.assert_array_equal(*arrays)
    exponent = float(rng.random())
    assert compiled.power(numbers[0], 1e-6, exponent) == plain.power(float(numbers[0]), 1e-6, exponent)
    for name, arguments in {"power": (1e-6, exponent), "weights_of": (exponent,)}.items():
        np.testing.assert_array_equal(
            getattr(compiled, name)(numbers, *arguments), getattr(plain, name)(numbers, *arguments)
        )
    assert tuple(compiled.surveyed(ids, numbers)) == plain.surveyed(ids, numbers)
    numbers[rng.integers(count)] = rng.choice([-1.0, np.nan, np.inf])
    assert compiled.surveyed(ids, numbers)[0] == plain.surveyed(ids, numbers)[0] >= 0


def test_compiled_ones_are_in_use_where_they_can_be() -> None:
    """And the plain ones in a process where there is no Numba."""
    assert loops.find is compiled.find
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "from framework_replay import loops, plain\nassert loops.find is plain.find"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

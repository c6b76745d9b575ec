"""Random numbers of compiled code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from framework_research.worlds.chance import integer_below, mix64, shuffle, stochastic_round, uniform
from framework_research.worlds.world import WORLD


def started(seed: int) -> np.void:
    """A world whose random numbers start from a seed."""
    world = np.zeros(1, WORLD)[0]
    world["chance"] = seed
    return world


def splitmix64(seed: int) -> Iterator[int]:
    """Steele et al. (2014), in Python's numbers."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        yield mixed ^ (mixed >> 31)


@pytest.mark.parametrize("seed", [0, 1234567, 2**64 - 1])
def test_numbers_are_those_of_splitmix64(seed: int) -> None:
    """The 53 upper bits of each, as a number in [0, 1)."""
    world, reference = started(seed), splitmix64(seed)
    for _ in range(1000):
        assert uniform(world) == (next(reference) >> 11) / 2**53


def test_a_published_number() -> None:
    """The first of seed 1234567, as other implementations give it."""
    assert next(splitmix64(1234567)) == 6457827717110365317
    assert int(mix64(np.uint64((1234567 + 0x9E3779B97F4A7C15) % 2**64))) == 6457827717110365317


def test_integers_are_uniform_below_their_limit() -> None:
    """Each as often (chi-square, at the 0.1 % level)."""
    world = started(3)
    counts = np.bincount([integer_below(world, 7) for _ in range(7000)], minlength=7)
    assert len(counts) == 7
    assert ((counts - 1000) ** 2 / 1000).sum() < 22.5  # 6 degrees of freedom


@pytest.mark.parametrize("number", [0.0, 1.25, 2.9, 3.0])
def test_rounding_keeps_the_mean(number: float) -> None:
    """To one of the two whole numbers beside it, so that the mean is the number (4 deviations)."""
    world = started(5)
    rounded = np.array([stochastic_round(world, number) for _ in range(4000)])
    assert set(rounded.tolist()) <= {int(np.floor(number)), int(np.ceil(number))}
    assert rounded.mean() == pytest.approx(number, abs=4 * 0.5 / 4000**0.5)


def test_shuffling_brings_the_first_values_into_any_order() -> None:
    """Each value to each place as often (chi-square, at the 0.1 % level); those behind stay."""
    world, counts = started(7), np.zeros((4, 4))
    for _ in range(4000):
        values = np.arange(6)
        shuffle(world, values, 4)
        assert values[4:].tolist() == [4, 5]
        counts[np.arange(4), values[:4]] += 1
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # 9 degrees of freedom

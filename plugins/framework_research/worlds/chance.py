"""Random numbers for compiled code: SplitMix64 (Steele et al., 2014), whose state is a field of a record."""

from __future__ import annotations

import numpy as np

from framework_research.compiled import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = (np.uint64(shift) for shift in (30, 27, 31, 11))


@compiled
def mix64(number):
    """A uint64 that looks random, of a uint64."""
    number = (number ^ (number >> _30)) * _FIRST
    number = (number ^ (number >> _27)) * _SECOND
    return number ^ (number >> _31)


@compiled
def uniform(world):
    """A number in [0, 1)."""
    world.chance += _GOLDEN
    return np.float64(mix64(world.chance) >> _11) * (1.0 / 9007199254740992.0)


@compiled
def integer_below(world, limit):
    """An integer in [0, limit)."""
    return np.int64(uniform(world) * limit)


@compiled
def stochastic_round(world, number):
    """``number`` rounded down or up at random, so that its mean stays what it was."""
    whole = np.int64(np.floor(number))
    return whole + (1 if uniform(world) < number - whole else 0)


@compiled
def shuffle(world, values, count):
    """Bring the first ``count`` values into a random order."""
    for last in range(count - 1, 0, -1):
        swapped = integer_below(world, last + 1)
        values[last], values[swapped] = values[swapped], values[last]

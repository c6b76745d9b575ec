"""Random numbers for compiled code: SplitMix64 (Steele et al., 2014), whose state is a field of a record."""

from __future__ import annotations

import numpy as np

from framework.errors import PluginError

try:
    from numba import njit
except ModuleNotFoundError as missing:
    if missing.name != "numba":
        raise
    raise PluginError('research needs the package numba: pip install "framework-rl[fast]"') from missing

#: Without a C wrapper, which nobody calls and a first start waits for.
compiled = njit(cache=True, nogil=True, no_cfunc_wrapper=True)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = (np.uint64(shift) for shift in (30, 27, 31, 11))


@compiled
def mixed(number):
    """A uint64 that looks random, of a uint64."""
    number = (number ^ (number >> _30)) * _FIRST
    number = (number ^ (number >> _27)) * _SECOND
    return number ^ (number >> _31)


@compiled
def uniform(world):
    """A number in [0, 1)."""
    world.chance += _GOLDEN
    return np.float64(mixed(world.chance) >> _11) * (1.0 / 9007199254740992.0)


@compiled
def below(world, limit):
    """An integer in [0, limit)."""
    return np.int64(uniform(world) * limit)


@compiled
def rounded(world, number):
    """``number`` rounded down or up at random, so that its mean stays what it was."""
    whole = np.int64(np.floor(number))
    return whole + (1 if uniform(world) < number - whole else 0)


@compiled
def shuffle(world, values, count):
    """Bring the first ``count`` values into a random order."""
    for last in range(count - 1, 0, -1):
        other = below(world, last + 1)
        values[last], values[other] = values[other], values[last]

"""The loops of this plugin: compiled where Numba is installed (extra: fast), else in NumPy, several times slower."""

from __future__ import annotations

try:
    from framework_replay.compiled import (
        WIDTH,
        find,
        power,
        refresh,
        set_leaves,
        stratify,
        surveyed,
        to_ids,
        weights_of,
    )
except ModuleNotFoundError as error:
    if error.name != "numba":
        raise
    from framework_replay.plain import WIDTH, find, power, refresh, set_leaves, stratify, surveyed, to_ids, weights_of

__all__ = ["WIDTH", "find", "power", "refresh", "set_leaves", "stratify", "surveyed", "to_ids", "weights_of"]

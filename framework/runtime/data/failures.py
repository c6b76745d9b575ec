"""Environments that raised without ending the run: what a trajectory tells of them, as one array of bytes."""

from __future__ import annotations

import json

import numpy as np
from attrs import astuple, frozen

#: So many failures of one trajectory are told in words; of the rest only their number.
TOLD = 8
#: Bytes that `encode_failures` gives at most.
LIMIT = 2**20


@frozen
class Failure:
    """An episode that ended because its environment raised."""

    environment: int  #: index in the run
    episode: int  #: number of the episode in its environment
    call: str  #: ``step`` or ``reset``
    reason: str  #: what was raised, in one line
    traceback: str


_TYPES = [int, int, str, str, str]  # of the fields of a failure


@frozen
class Failures:
    """The episodes of a trajectory that ended because their environments raised."""

    count: int = 0
    told: tuple[Failure, ...] = ()  #: the first of them, at most `TOLD`


def encode_failures(failures: Failures) -> np.ndarray:
    """As UTF-8 JSON, [bytes] uint8."""
    values = [failures.count, *map(astuple, failures.told)]
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def decode_failures(array: np.ndarray) -> Failures:
    """What `encode_failures` was given. Raises ValueError where that cannot be."""
    try:
        values = json.loads(array.tobytes())
    except RecursionError:
        raise ValueError("failures that are nested too deeply") from None
    if not isinstance(values, list) or not values or type(values[0]) is not int:
        raise ValueError("failures without their number")
    count, *rows = values
    if not len(rows) <= min(count, TOLD):
        raise ValueError(f"{len(rows)} of {count} failures are told")
    if not all(isinstance(row, list) and [type(value) for value in row] == _TYPES for row in rows):
        raise ValueError("a failure with other fields")
    return Failures(count, tuple(Failure(*row) for row in rows))

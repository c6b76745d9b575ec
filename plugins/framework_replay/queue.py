"""A FIFO queue of rows of arrays, each with a permanent number."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


class Queue:
    """Rows numbered 0, 1, 2, ... in the order in which they came; the memory grows with how many there are at once."""

    def __init__(self) -> None:
        self.first = 0  #: number of the oldest row that is kept
        self.next = 0  #: number of the next row that comes
        self._arrays: Arrays = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(self._arrays)

    def push(self, rows: Arrays) -> np.ndarray:
        """Append rows ``{name: [K, ...]}``; returns their numbers [K] int64."""
        count = len(next(iter(rows.values())))
        numbers = np.arange(self.next, self.next + count)
        self._reserve(self.next + count - self.first, rows)
        for name, values in rows.items():
            array = self._arrays[name]
            array[numbers % len(array)] = values
        self.next += count
        return numbers

    def drop(self, until: int) -> None:
        """Forget the rows with a number below ``until``."""
        self.first = max(self.first, until)

    def take(self, name: str, numbers: np.ndarray) -> np.ndarray:
        """Rows of one array, as a copy."""
        array = self._arrays[name]
        return array.take(numbers % len(array), axis=0)

    def state_dict(self) -> dict[str, Any]:
        """Rows that are kept, in their order."""
        numbers = np.arange(self.first, self.next)
        return {"first": self.first, "rows": {name: self.take(name, numbers) for name in self._arrays}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.first = self.next = state["first"]
        self._arrays = {}
        if state["rows"]:
            self.push(state["rows"])

    def _reserve(self, count: int, rows: Arrays) -> None:
        """Make room for ``count`` rows that look like the given ones."""
        numbers = np.arange(self.first, self.next)
        for name, values in rows.items():
            old = self._arrays.get(name)
            if old is None or len(old) < count:
                size = max(count, 16 if old is None else 2 * len(old))
                self._arrays[name] = np.zeros((size, *values.shape[1:]), values.dtype)
                if old is not None:
                    self._arrays[name][numbers % size] = old.take(numbers % len(old), axis=0)

"""A run of any length, read in bounded time and memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from framework.errors import RunError
from framework.studies.recorded_run import RecordedRun

#: Lines of updates that are read, and of evaluations: more than a screen is wide.
LINES = 4000
_EVALUATION = b'"evaluation/return"'


class ThinnedRun(RecordedRun):
    """A run of which at most about `LINES` updates are read, every n-th and the last, and so for its evaluations."""

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl`` that are read."""
        path = self.directory / "metrics.jsonl"
        try:
            with path.open("rb") as file:
                return list(_spread(file, path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror}") from None

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of `metrics` that are evaluations."""
        return [line for line in self.metrics if "evaluation/return" in line]


def _spread(file: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are read: of either kind every n-th, and the last."""
    counts = {False: 0, True: 0}
    for line in file:
        counts[_EVALUATION in line] += line.endswith(b"\n")  # a last line without is being written
    steps = {kind: max(1, -(-count // LINES)) for kind, count in counts.items()}
    file.seek(0)
    places = {False: 0, True: 0}
    for number, line in enumerate(file, 1):
        kind = _EVALUATION in line
        places[kind] += 1
        if places[kind] > counts[kind]:
            return
        if (places[kind] - 1) % steps[kind] == 0 or places[kind] == counts[kind]:
            yield _values(line, path, number)


def _values(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise RunError(f"{path}:{number}: not a line of a run's record")
    return values

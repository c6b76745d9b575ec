"""A run directory as its readers see it, while the run goes on or after its end."""

from __future__ import annotations

import fcntl
import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from framework.errors import RunError
from framework.schema import suggest

#: How a run stands; "killed" where it ended without a word.
Status = Literal["running", "done", "stopped", "interrupted", "failed", "killed"]
#: What a curve can be drawn against, and the column of ``metrics.jsonl`` that has it.
AXES = {"steps": "steps", "updates": "update", "time": "time/seconds"}


class Series(NamedTuple):
    """A column of ``metrics.jsonl`` along an axis."""

    x: np.ndarray  #: [points] float64, ascending
    y: np.ndarray  #: [points] float64


class RecordedRun:
    """What a run has written to its directory. Files are read when they are asked for, and once.

    Raises `RunError` where ``directory`` is no run directory.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        path = self.directory / "pipeline.toml"
        try:
            self.pipeline: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))  #: every option filled in
            self.name, self.seed = str(self.pipeline["run"]["name"]), int(self.pipeline["run"]["seed"])
        except OSError as error:
            raise RunError(
                f"{self.directory} is no run directory: {path.name} cannot be read: {error.strerror}"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{self.directory} is no run directory: {path.name} is not a pipeline") from None

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``."""
        return self._lines("metrics.jsonl")

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The lines of ``events.jsonl``."""
        return self._lines("events.jsonl")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """``manifest.json``; empty where there is none."""
        try:
            manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of `metrics` that are evaluations."""
        return [line for line in self.metrics if "evaluation/return" in line]

    @property
    def columns(self) -> list[str]:
        """The names of all columns that hold numbers, in order of appearance."""
        return list(dict.fromkeys(name for line in self.metrics for name, value in line.items() if _is_number(value)))

    @property
    def steps(self) -> int:
        """Environment steps that have been learned from."""
        return int(self.metrics[-1]["steps"]) if self.metrics else 0

    @property
    def status(self) -> Status:
        """How the run stands now."""
        if _is_locked(self.directory / "lock"):
            return "running"
        last = self.events[-1] if self.events else {}
        status = last.get("status") if last.get("event") == "finished" else None
        return status if status in ("done", "stopped", "interrupted", "failed") else "killed"

    def series(self, column: str, axis: str = "steps") -> Series:
        """A column along one of `AXES`. Raises `RunError` where no line has it."""
        points = [
            (line[AXES[axis]], line[column])
            for line in self.metrics
            if _is_number(line.get(column)) and _is_number(line.get(AXES[axis]))
        ]
        if not points:
            guess = suggest(column, self.columns)
            hint = f"; did you mean {guess}?" if guess else ""
            raise RunError(f"{self.directory} has no {column!r} by {axis} in its metrics{hint}")
        x, y = np.array(points, np.float64).T
        return Series(x, y)

    def _lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a JSON Lines file; none where it does not exist."""
        path = self.directory / name
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path} cannot be read: {error}") from None
        lines = []
        for number, line in enumerate(text.split("\n")[:-1], 1):  # what follows the last newline is being written
            try:
                values = json.loads(line)
            except ValueError:
                values = None
            if not isinstance(values, dict):
                raise RunError(f"{path}:{number}: not a line of a run's record")
            lines.append(values)
        return lines


def runs_in(folder: Path) -> list[RecordedRun]:
    """The runs whose directories lie in ``folder``, the oldest first; none where there is no such folder."""
    directories = {path.parent for path in folder.glob("*/pipeline.toml") if (path.parent / "manifest.json").exists()}
    runs = []
    for directory in sorted(directories, key=lambda directory: (directory / "manifest.json").stat().st_mtime):
        try:
            runs.append(RecordedRun(directory))
        except RunError:
            continue  # half made, or another program's
    return runs


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

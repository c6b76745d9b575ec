"""A run directory as its readers see it, while the run goes on or after its end."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from framework.errors import RunError
from framework.schema import suggest

PIPELINE, MANIFEST, METRICS, EVENTS = "pipeline.toml", "manifest.json", "metrics.jsonl", "events.jsonl"
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
        self._read: dict[str, list[str]] = {}
        path = self.directory / PIPELINE
        try:
            self.pipeline: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))  #: every option filled in
            self.name, self.seed = str(self.pipeline["run"]["name"]), int(self.pipeline["run"]["seed"])
        except OSError as error:
            raise RunError(
                f"{self.directory} is no run directory: {path.name} cannot be read: {error.strerror}"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{self.directory} is no run directory: {path.name} is not a pipeline") from None

    def __repr__(self) -> str:
        return f"<RecordedRun {self.directory}>"

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``."""
        return [self._parse(METRICS, number) for number in range(len(self._texts(METRICS)))]

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The lines of ``events.jsonl``."""
        return [self._parse(EVENTS, number) for number in range(len(self._texts(EVENTS)))]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """``manifest.json``; empty where there is none."""
        try:
            manifest = json.loads((self.directory / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of `metrics` that are evaluations."""
        lines = (self._parse(METRICS, number) for number in self._with("evaluation/return"))
        return [line for line in lines if "evaluation/return" in line]

    @property
    def best(self) -> float | None:
        """The mean return of the best evaluation; None where there was none."""
        return max((line["evaluation/return"] for line in self.evaluations), default=None)

    @property
    def started(self) -> datetime | None:
        """When the run was started first; None where nothing says it."""
        try:
            return datetime.fromisoformat(self.manifest["started"])
        except (KeyError, TypeError, ValueError):
            return None

    def last(self, column: str) -> float | None:
        """The last number in a column of `metrics`; None where there is none."""
        lines = (self._parse(METRICS, number) for number in reversed(self._with(column)))
        return next((line[column] for line in lines if _is_number(line.get(column))), None)

    @cached_property
    def columns(self) -> list[str]:
        """The names of all columns that hold numbers, in order of appearance."""
        return list(dict.fromkeys(name for line in self.metrics for name, value in line.items() if _is_number(value)))

    @property
    def steps(self) -> int:
        """Environment steps that have been learned from."""
        return int(self.last("steps") or 0)

    @property
    def total_steps(self) -> int:
        """Environment steps that it is to learn from. Raises `RunError` where its pipeline does not say it."""
        try:
            return int(self.pipeline["run"]["total_steps"])
        except (KeyError, TypeError, ValueError):
            raise RunError(f"{self.directory / PIPELINE} does not say run.total_steps") from None

    @property
    def status(self) -> Status:
        """How the run stands now."""
        if _is_locked(self.directory / "lock"):
            return "running"
        events = self._texts(EVENTS)
        last = self._parse(EVENTS, len(events) - 1) if events else {}
        status = last.get("status") if last.get("event") == "finished" else None
        return status if status in ("done", "stopped", "interrupted", "failed") else "killed"

    def series(self, column: str, axis: str = "steps") -> Series:
        """A column along one of `AXES`. Raises `RunError` where no line has it."""
        points = []
        x: float | None = None
        for line in self.metrics:
            x = line[AXES[axis]] if _is_number(line.get(AXES[axis])) else x  # evaluations do not tell the time
            if x is not None and _is_number(line.get(column)):
                points.append((x, line[column]))
        if not points:
            guess = suggest(column, self.columns)
            hint = f"; did you mean {guess}?" if guess else ""
            raise RunError(f"{self.directory} has no {column!r} by {axis} in its metrics{hint}")
        return Series(*np.array(points, np.float64).T)

    def _with(self, column: str) -> list[int]:
        """The numbers of the lines of ``metrics.jsonl`` that may have a column: not every one has to be parsed."""
        return [number for number, text in enumerate(self._texts(METRICS)) if json.dumps(column) in text]

    def _parse(self, name: str, number: int) -> dict[str, Any]:
        """A line of a JSON Lines file, counted from 0."""
        try:
            values = json.loads(self._texts(name)[number])
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise RunError(f"{self.directory / name}:{number + 1}: not a line of a run's record")
        return values

    def _texts(self, name: str) -> list[str]:
        """The whole lines of a file; none where it does not exist."""
        if name not in self._read:
            path = self.directory / name
            try:
                text = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                text = ""
            except (OSError, UnicodeDecodeError) as error:
                raise RunError(f"{path} cannot be read: {error}") from None
            self._read[name] = text.split("\n")[:-1]  # what follows the last newline is being written
        return self._read[name]


def runs_in(folder: Path) -> list[RecordedRun]:
    """The runs whose directories lie in ``folder``, or below it; the oldest first. None without such a folder."""
    recorded = []
    for directory in sorted(run_directories(folder), key=lambda directory: (directory / MANIFEST).stat().st_mtime):
        try:
            recorded.append(RecordedRun(directory))
        except RunError:
            continue  # half made, or another program's
    return recorded


def runs_at(path: Path) -> list[RecordedRun]:
    """The run of a run directory, or the runs in a folder. Raises `RunError` where there are none."""
    recorded = [RecordedRun(path)] if is_run_directory(path) else runs_in(path)
    if not recorded:
        raise RunError(f"{path} is no run directory, and has none in it" if path.is_dir() else f"there is no {path}")
    return recorded


def runs(folder: str | Path = "runs") -> list[RecordedRun]:
    """The runs in a folder, the oldest first: ``framework.runs()[-1].directory``. Raises `RunError` where it is none.

    Args:
        folder: with run directories in it, or below.
    """
    if not Path(folder).is_dir():
        raise RunError(f"there is no folder {folder}")
    return runs_in(Path(folder))


def run_directories(folder: Path) -> Iterator[Path]:
    """The run directories in ``folder``, or below it, in no order; links lead to others, but not in circles."""
    visited: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in visited:
            folders.clear()
            continue
        visited.add(real)
        if PIPELINE in files and MANIFEST in files and Path(place) != folder:
            folders.clear()
            yield Path(place)


def is_run_directory(path: Path) -> bool:
    """Whether a run has been recorded in ``path``."""
    return (path / PIPELINE).is_file() and (path / MANIFEST).is_file()


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

"""Writes what a run reports to its event file. Imported by every command, so it imports nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from framework import hookimpl
from framework_tensorboard import events

if TYPE_CHECKING:
    from pathlib import Path

#: What is the axis of the plots, and not a plot of its own.
AXES = ("update", "steps")
#: The runs that are written down, each with its file once there is something to write.
_files: dict[Path, BinaryIO | None] = {}


@hookimpl
def run_started(directory: Path) -> None:
    """Write this run down, if there is something to read it with."""
    from importlib.util import find_spec

    if find_spec("tensorboard") is not None:
        _files[directory] = None


@hookimpl
def update_finished(directory: Path, metrics: Mapping[str, float]) -> None:
    """Write the metrics of an update."""
    _write(directory, metrics)


@hookimpl
def evaluation_finished(directory: Path, evaluation: Mapping[str, float]) -> None:
    """Write the results of an evaluation."""
    _write(directory, evaluation)


@hookimpl
def run_finished(directory: Path) -> None:
    """Close the run's file."""
    file = _files.pop(directory, None)
    if file is not None:
        file.close()


def _write(directory: Path, values: Mapping[str, float]) -> None:
    if directory not in _files:
        return
    now, step = time.time(), int(values["steps"])
    file = _files[directory]
    if file is None:
        file = _files[directory] = _create(directory / "tensorboard")
        file.write(events.record(now, 0, events.VERSION) + events.record(now, step, events.RESTART))
    plotted = {name: value for name, value in values.items() if name not in AXES}
    file.write(events.record(now, step, events.scalars(plotted)))


def _create(folder: Path) -> BinaryIO:
    folder.mkdir(exist_ok=True)
    # Readers take the files of a folder in the order of their names. Unbuffered: a run that is killed leaves whole
    # records behind.
    return (folder / f"events.out.tfevents.{time.time_ns()}").open("xb", buffering=0)

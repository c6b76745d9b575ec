"""The process that logs a run to an experiment tracker, started by `framework.toolkit.tracker.Tracker`.

It follows ``metrics.jsonl``, and notes in ``RUN/TRACKER-run.json`` how far the tracker has it. Whatever was killed, the
next line that is logged is the first that the tracker lacks; updates that a resumed run does again are logged once, as
they were the first time.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from attrs import asdict, define

#: Seconds between two looks at the record: at most so often is anything logged.
INTERVAL = 1.0
#: What each kind of line does not add: the axis, and the number of an update that has a line of its own.
_AXES = {"update": ("steps",), "evaluation": ("steps", "update")}
_CHUNK = 1 << 20  # bytes of the record that are logged at once
_PREDECESSOR = 90.0  # seconds that the process of a killed run has to finish


class TrackedRun(NamedTuple):
    """What a tracker may know of the run that it opens."""

    directory: Path
    source: Path  #: the folder that files in the options are relative to
    name: str
    pipeline: dict[str, Any]  #: resolved, as plain values
    id: str | None  #: what the tracker called the run the last time it was opened; None the first time
    has_metrics: bool  #: whether metrics were logged then


class Line(NamedTuple):
    """A line of the record: the metrics of an update, or of an evaluation."""

    steps: int
    values: dict[str, float]  #: all numbers, by column


class TrackerRun(Protocol):
    """A run that is open in a tracker. What it raises ends the process, and is an event of the run."""

    id: str  #: by which the tracker finds the run again

    def log(self, lines: Sequence[Line]) -> None:
        """Log new lines; their steps never decrease."""

    def log_video(self, video: Path, steps: int) -> None:
        """Log the video of an evaluation; its steps are those of the last line."""

    def log_checkpoint(self, checkpoint: Path) -> None:
        """Log a checkpoint, which is a folder."""

    def finish(self, status: str) -> None:
        """Close the run. ``status`` is that of `framework.hookspecs.run_finished`, or ``"killed"``."""


@define
class Progress:
    """How far the tracker has the run."""

    id: str | None = None
    update: int = -1  #: the last update whose metrics are logged
    evaluation: int = -1  #: the last update whose evaluation is logged
    video: int = -1  #: steps of the last video

    @classmethod
    def read(cls, path: Path) -> Progress:
        """From its file; nothing is logged where there is none."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """To its file, whole or not at all."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)) + "\n")
        new.replace(path)


class Follower:
    """Logs what is new in the record of a run, and what was told of it, in the order of environment steps."""

    def __init__(self, run: TrackerRun, directory: Path, progress: Progress, progress_file: Path):
        self._run = run
        self._record = directory / "metrics.jsonl"
        self._offset = 0
        self._steps = -1  # of the last line that was read
        self._progress, self._file = progress, progress_file
        self._videos: list[tuple[int, Path]] = []
        self._checkpoints: list[Path] = []

    def add(self, message: Mapping[str, Any]) -> None:
        """Take a video or a checkpoint."""
        if "video" in message:
            self._videos.append((message["steps"], Path(message["video"])))
        elif "checkpoint" in message:
            self._checkpoints.append(Path(message["checkpoint"]))

    def read(self) -> list[dict[str, Any]]:
        """The next whole lines of the record, all of them where they are few."""
        with self._record.open("rb") as file:
            file.seek(self._offset)
            data = file.read(_CHUNK) + file.readline()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def log(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Log what is new of these lines, and the videos that belong between them."""
        new: list[Line] = []
        for line in lines:
            if line["steps"] > self._steps and any(steps <= self._steps for steps, _ in self._videos):
                self._log(new)
                self._log_videos()
                new = []
            self._steps = line["steps"]
            kind = "evaluation" if "evaluation/return" in line else "update"
            if line["update"] > getattr(self._progress, kind):
                setattr(self._progress, kind, line["update"])
                new.append(Line(line["steps"], _numbers(line, without=_AXES[kind])))
        self._log(new)
        self._log_videos()
        for checkpoint in self._checkpoints:
            self._log_checkpoint(checkpoint)
        self._checkpoints = []

    def _log(self, lines: Sequence[Line]) -> None:
        if lines:
            self._run.log(lines)
            self._progress.write(self._file)

    def _log_checkpoint(self, checkpoint: Path) -> None:
        try:
            if checkpoint.exists():
                self._run.log_checkpoint(checkpoint)
        except OSError:
            if checkpoint.exists():
                raise  # else it was deleted meanwhile, as older ones are

    def _log_videos(self) -> None:
        due = [(steps, video) for steps, video in self._videos if steps <= self._steps]
        self._videos = [video for video in self._videos if video not in due]
        for steps, video in due:
            if steps > self._progress.video:
                self._run.log_video(video, steps)
                self._progress.video = steps
                self._progress.write(self._file)


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one with dotted keys; elements of arrays of tables have their number as a key."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and value and all(isinstance(element, Mapping) for element in value):
            flat |= flattened({str(number): element for number, element in enumerate(value)}, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def main() -> None:
    """Log the run that the first line of standard input is about, until the last says how it ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the learner tells when to end
    messages = _Messages()
    order = messages.first()
    sys.path[:] = order["path"]
    config = _find(order["config"])(**order["options"])
    threading.Thread(target=_outlive, args=(config.finish_seconds,), daemon=True).start()
    directory = Path(order["directory"])
    path = directory / f"{order['tracker']}-run.json"
    with _only_one(path.with_suffix(".log")):
        progress = Progress.read(path)
        tracked = TrackedRun(
            directory=directory,
            source=Path(order["source"]),
            name=config.name or directory.name,
            pipeline=order["pipeline"],
            id=progress.id,
            has_metrics=progress.update >= 0,
        )
        run: TrackerRun = _find(order["open_run"])(config, tracked)
        progress.id = run.id
        progress.write(path)
        status = _follow(Follower(run, directory, progress, path), messages)
        run.finish(status)


def _follow(follower: Follower, messages: _Messages) -> str:
    """Log until the run has ended; how it ended."""
    reading, status = False, ""
    while True:
        # What is over before the record is read is wholly in it; what is told of before a line is written is heard
        # before that line is logged.
        ended = bool(status)
        lines = follower.read() if reading else []
        for message in messages.wait(0.0 if lines or ended else INTERVAL):
            follower.add(message)
            reading = reading or "record" in message or "status" in message
            if "status" in message:
                status = str(message["status"])
        follower.log(lines)
        if ended and not lines:
            return status


class _Messages:
    """Lines of standard input; where it ends without a status, the learner was killed."""

    def __init__(self) -> None:
        self._data = b""
        self._ended = False

    def first(self) -> dict[str, Any]:
        """The first message, once it is there."""
        while b"\n" not in self._data:
            self._data += os.read(0, _CHUNK) or sys.exit()
        line, _, self._data = self._data.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """The next messages; none where there are none for so long."""
        if not self._ended and b"\n" not in self._data and select.select([0], [], [], seconds)[0]:
            data = os.read(0, _CHUNK)
            self._data = self._data + data if data else b'{"status": "killed"}\n'
        *lines, self._data = self._data.split(b"\n")
        messages = [json.loads(line) for line in lines]
        self._ended = self._ended or any("status" in message for message in messages)
        return messages


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """The process of a learner that was killed may still be at work."""
    with path.open("rb") as file:
        deadline = time.monotonic() + _PREDECESSOR
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"another process logs this run: a pipeline names each tracker once ({path})"
                    ) from None
                time.sleep(0.1)
        yield


def _outlive(seconds: float) -> None:
    """End the process so long after the learner, which ends it otherwise, whatever it does."""
    closed = select.poll()
    closed.register(0, 0)
    closed.poll()
    time.sleep(seconds)
    os._exit(1)


def _find(path: str) -> Any:
    module, _, name = path.partition(":")
    return attrgetter(name)(import_module(module))


def _numbers(line: Mapping[str, Any], without: Sequence[str]) -> dict[str, float]:
    return {
        name: value
        for name, value in line.items()
        if name not in without and isinstance(value, int | float) and not isinstance(value, bool)
    }


if __name__ == "__main__":
    main()

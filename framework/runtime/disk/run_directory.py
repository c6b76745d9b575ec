"""The run directory while a run writes it.

``pipeline.toml`` (resolved) and ``manifest.json`` are written once, the former anew where a run goes on as another
pipeline; ``metrics.jsonl``, ``episodes.jsonl`` and ``events.jsonl`` grow line by line. Every other view of a run is
made from these files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from framework.errors import RunError
from framework.pipeline import to_toml
from framework.pipeline.document import differences
from framework.runtime.disk.manifest import write_manifest

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline


#: Hears of every event: its name and its fields.
Listener = Callable[[str, Mapping[str, Any]], None]


def is_time(column: str) -> bool:
    """Whether a column of ``metrics.jsonl`` tells the time: these alone differ between equal runs."""
    return column.startswith("time/")


class Record:
    """A run directory that is being written by this process, and by no other."""

    def __init__(self, directory: Path, listener: Listener | None = None):
        self.directory = directory.resolve()  # an environment may change the working directory
        self._listener = listener
        with self._writing():
            self._lock = (self.directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RunError(f"{directory}: another process is running this run") from None
        self._folder = os.open(self.directory, os.O_RDONLY)
        with self._writing():
            self._metrics = self._open("metrics.jsonl")
            self._episodes = self._open("episodes.jsonl")
            self._events = self._open("events.jsonl")

    @classmethod
    def create(cls, pipeline: Pipeline, root: Path, listener: Listener | None = None) -> Record:
        """A new directory ``root/NAME-DATE``, with the pipeline and the manifest in it."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", pipeline.run.name)
        try:
            directory = _new_directory(root, f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
            (directory / "pipeline.toml").write_text(to_toml(pipeline.to_plain()))
            write_manifest(directory, pipeline)
        except OSError as error:
            raise _cannot_write(root, error) from None
        return cls(directory, listener)

    def adopt(self, pipeline: Pipeline) -> None:
        """Have ``pipeline.toml`` say what is run from here on; where that is something else, an event tells both."""
        path, text = self.directory / "pipeline.toml", to_toml(pipeline.to_plain())
        changes = differences(tomllib.loads(path.read_text()), tomllib.loads(text))
        if changes:
            new = path.with_suffix(".new")
            with self._writing():
                new.write_text(text)
                new.replace(path)
            self.event("pipeline_changed", changes=changes)

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.directory / "checkpoints"

    def rewind(self, update: int) -> None:
        """Forget what was recorded after ``update``; it is going to happen again."""
        for file in (self._metrics, self._episodes):
            keep = 0
            path = Path(file.name)
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if not line.endswith(b"\n") or _update_of(line, path, number) > update:
                        break
                    keep += len(line)
            os.truncate(path, keep)

    def check_place(self) -> None:
        """Raise `RunError` where the run directory was deleted or renamed; what is saved then goes where it is now."""
        if _is_at(self._folder, self.directory):
            return
        before, now = self.directory, _place_of(self._folder)
        if now is None:
            raise RunError(f"{before} was deleted or replaced while the run went on: what it had recorded is gone")
        self.directory = now
        raise RunError(
            f"{before} was renamed while the run went on: it is saved; resume it with: framework run --resume {now}"
        )

    def metrics(self, line: dict[str, Any]) -> None:
        """Add a line of metrics."""
        with self._writing():
            _append(self._metrics, [line])

    def episodes(self, lines: list[dict[str, Any]]) -> None:
        """Add finished episodes."""
        if lines:
            with self._writing():
                _append(self._episodes, lines)

    def event(self, name: str, **fields: Any) -> None:
        """Add an event, with the time of day. One that cannot be written is told all the same."""
        if self._listener is not None:
            self._listener(name, fields)
        time = datetime.now().astimezone().isoformat(timespec="milliseconds")
        with suppress(OSError):  # on a full disk it is the metrics and checkpoints that end the run
            _append(self._events, [{"time": time, "event": name, **fields}])

    def close(self) -> None:
        """Let go of the directory."""
        for file in (self._metrics, self._episodes, self._events, self._lock):
            with suppress(OSError):  # of lines that could not be written
                file.close()
        os.close(self._folder)
        # The lock file stays: if it were removed, two processes could each hold a lock on a file of that name.

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _cannot_write(self.directory, error) from None

    def _open(self, name: str) -> TextIO:
        path = self.directory / name
        if path.exists():  # a process that was killed may have left half a line
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        return path.open("a")


def _cannot_write(directory: Path, error: OSError) -> RunError:
    advice = "free some space there, or name another folder with --runs"
    if error.errno == errno.EFBIG:
        advice = "raise the limit on the size of files (ulimit -f)"
    elif error.errno not in (errno.ENOSPC, errno.EDQUOT):
        advice = "mend its permissions, or name another folder with --runs"
    return RunError(f"{error.filename or directory}: cannot be written: {error.strerror}; {advice}")


def _update_of(line: bytes, path: Path, number: int) -> int:
    """The update that a line of JSON is about."""
    try:
        update = json.loads(line)["update"]
        if isinstance(update, int):
            return update
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise RunError(f"{path}:{number}: not a line of a run's record: take it out, and resume the run again")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether what is open lies at ``path``."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _place_of(descriptor: int) -> Path | None:
    """Where an open folder is now; None where it was deleted, or where the system does not tell."""
    try:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return None
    return path if _is_at(descriptor, path) else None


def _append(file: TextIO, lines: list[dict[str, Any]]) -> None:
    file.write("".join(json.dumps(line) + "\n" for line in lines))
    file.flush()


def _new_directory(root: Path, name: str) -> Path:
    for attempt in range(1000):
        directory = root / (f"{name}-{attempt}" if attempt else name)
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory
    raise RunError(f"{root}: cannot make a new directory for {name}")

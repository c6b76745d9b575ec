"""What the launch folder has of the hosts: which task of which job each is, and how its processes have ended."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from attrs import frozen

#: What bash adds to the number of a signal.
_SIGNAL = 128


class Jobs:
    """The job of each host's task, by the host's number; kept in ``jobs.json``."""

    def __init__(self, folder: Path):
        self._path = folder / "jobs.json"

    def read(self) -> dict[int, str]:
        """All of them, by number; none where nothing was submitted."""
        with suppress(FileNotFoundError):
            return {int(number): job for number, job in json.loads(self._path.read_text()).items()}
        return {}

    def write(self, jobs: dict[int, str]) -> None:
        """Keep these."""
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(dict(sorted(jobs.items()))))
        new.replace(self._path)


@frozen
class History:
    """What a host's batch script has written down."""

    starts: int = 0
    status: int | None = None  #: exit code of the last process that has ended, or minus the number of its signal
    place: str = ""  #: the node where it was started last

    @classmethod
    def read(cls, path: Path) -> History:
        """The history in a file; an empty one where the host has not started yet."""
        lines: list[list[str]] = []
        with suppress(FileNotFoundError):
            lines = [words for line in path.read_text().splitlines() if len(words := line.split()) == 2]
        places = [words[1] for words in lines if words[0] == "started"]
        codes = [int(words[1]) for words in lines if words[0] == "ended"]
        statuses = [_SIGNAL - code if code > _SIGNAL else code for code in codes]
        return cls(len(places), statuses[-1] if statuses else None, places[-1] if places else "")


def history_file(folder: Path, number: int) -> Path:
    """Where the batch script of a host writes down what becomes of it."""
    return folder / f"{host_name(number)}.state"


def host_name(number: int) -> str:
    """What a host is called: its task's number is its own."""
    return f"slurm-{number}"

"""The driver of the launcher ``ray`` on a cluster that is made up: ``python -m ray_stub FOLDER``.

Every task is there at once, and stays until it is cancelled.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from framework.toolkit.background import inside
from framework_ray.driver import keep
from framework_ray.hosts import Lost, News, Started


class MadeUp:
    """See `framework_ray.hosts.Engine`. Writes down what it is told to do."""

    def __init__(self, record: Path):
        self._record = record

    def submit(self, name: str) -> list[News]:
        """The task is what will happen to it."""
        self._write(f"submit {name}")
        return [Started("made-up")]

    def news(self, tasks: list[list[News]]) -> list[tuple[Any, News]]:
        """One of each at a time."""
        return [(task, task.pop(0)) for task in tasks if task]

    def cancel(self, task: list[News]) -> None:
        """It is gone at once."""
        self._write("cancel")
        task.append(Lost("cancelled"))

    def _write(self, line: str) -> None:
        with self._record.open("a") as record:
            record.write(f"{line}\n")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with inside(folder) as process:
        if process.wanted["options"]["address"] == "nowhere:1":
            sys.exit("no Ray cluster is reached at 'nowhere:1'")
        keep(process, MadeUp(folder.parent / "record"))

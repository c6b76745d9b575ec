"""Where a secret can be seen that nobody is to see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def processes_that_show(secret: str) -> list[str]:
    """Command lines and environments of all processes of this machine that have it."""
    return [f"{path}: {text[:200]!r}" for path, text in _what_processes_show() if secret.encode() in text]


def files_that_show(folder: Path, secret: str) -> list[str]:
    """The files of a folder that have it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in files if secret.encode() in path.read_bytes())


def _what_processes_show() -> Iterator[tuple[Path, bytes]]:
    for process in os.listdir("/proc"):
        for name in ("cmdline", "environ") if process.isdigit() else ():
            path = Path("/proc", process, name)
            try:
                yield path, path.read_bytes()
            except OSError:  # it has ended
                continue

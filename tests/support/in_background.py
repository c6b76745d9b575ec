"""A process in the background that does what it is wanted to: ``python -m in_background FOLDER``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from framework.toolkit.background import end_with_parent, inside


def main(folder: Path) -> None:
    """Tell what is wanted, over and over, until SIGTERM; a ``deaf`` one goes on."""
    with inside(folder) as process:
        first = process.wanted
        for line in first.get("says", []):
            print(line, flush=True)
        if "exits" in first:
            sys.exit(first["exits"])
        while first.get("never_ready"):
            time.sleep(0.02)
        child = 0
        if first.get("child"):
            child = subprocess.Popen(["sleep", "60"], preexec_fn=end_with_parent, start_new_session=True).pid  # noqa: PLW1509
        while first.get("deaf") or not process.ending:
            process.tell({"wanted": process.wanted, "process": os.getpid(), "child": child})
            time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Stands for ssh: the machines are this one, but for some.

As with ssh the command goes to a shell, in a session and with an environment of its own, and does not end when ssh
does: its standard input ends. It is started without what Python usually loads, as there are many of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

_WITH_VALUE = ("-o", "-p", "-i", "-F", "-l")


def install(folder: Path) -> Path:
    """Make it the command ``ssh`` of a folder, which is returned."""
    folder.mkdir(exist_ok=True)
    command = folder / "ssh"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} "$@"\n')
    command.chmod(0o755)
    return folder


def main(arguments: list[str]) -> int:
    """What ssh does."""
    while arguments[0].startswith("-"):
        arguments = arguments[2 if arguments[0] in _WITH_VALUE else 1 :]
    place, *command = arguments
    if place.startswith("down"):
        print(f"ssh: connect to host {place} port 22: Connection refused", file=sys.stderr)
        return 255
    if place.startswith("hangs"):
        time.sleep(60)
    variables = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "STUB", "SHELL")}
    process = subprocess.Popen(
        [os.environ.get("SHELL", "/bin/sh"), "-c", " ".join(command)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd=os.environ.get("HOME"),
        env=variables | {"SSH_PLACE": place},
    )
    threading.Thread(target=_pass_on, args=(process,), daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 255


def _pass_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        while data := os.read(0, 65536):
            os.write(process.stdin.fileno(), data)
    except BrokenPipeError:
        pass
    os.close(process.stdin.fileno())


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # the thread may be reading

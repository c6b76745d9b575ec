"""Whether any machine can be reached, asked before hosts are kept at work on them."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from framework.errors import RunError

#: Seconds that the machines have to answer.
LIMIT = 20.0
_LOOK = 0.02
_LINES, _MACHINES = 5, 5  # that an error tells


def reach(commands: Mapping[str, Sequence[str]]) -> None:
    """Run a command for each machine, all at once, and return as soon as one has succeeded.

    Raises `RunError`, with what the commands say, where none does within `LIMIT` seconds.
    """
    with ExitStack() as opened:
        waiting: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        for host, command in commands.items():
            errors: IO[bytes] = opened.enter_context(tempfile.TemporaryFile())
            waiting[host] = _start(command, errors), errors
            opened.callback(_end, waiting[host][0])
        reasons: dict[str, str] = {}
        deadline = time.monotonic() + LIMIT
        while waiting and time.monotonic() < deadline:
            for host, (process, written) in list(waiting.items()):
                if process.poll() == 0:
                    return
                if process.returncode is not None:
                    reasons[host] = _last_lines(written) or f"ended with exit code {process.returncode}"
                    del waiting[host]
            time.sleep(_LOOK)
        reasons |= dict.fromkeys(waiting, f"no answer within {LIMIT:.0f} s")
    told = [f"{host}: {reasons[host]}" for host in list(commands)[:_MACHINES]]
    if len(reasons) > len(told):
        told.append(f"and {len(reasons) - len(told)} more")
    raise RunError("\n".join(["no machine can be reached with ssh:", *told]))


def _start(command: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        # In a session of its own it has no terminal to ask for a password at.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
    except OSError as error:
        reason = f"{command[0]} cannot be started: {error.strerror}"
        raise RunError(f"{reason}; install an ssh client, or name it with the option ssh") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _last_lines(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines()]
    return "\n".join(list(filter(None, lines))[-_LINES:])

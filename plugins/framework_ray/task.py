"""What a task does, on a machine of the cluster: it runs the process of one host, and ends when that does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress

from framework.toolkit.background import end_with_parent

#: Exit code of a command that cannot be started, as shells have it.
NOT_FOUND = 127
_TICK = 0.1
#: Seconds that a process has to end in good order.
_GRACE = 5.0


def attend(command: Sequence[str], token: str) -> Generator[str | int, None, None]:
    """Run a host until it ends: yields the name of the machine, then the exit code.

    Where it is interrupted, which is how Ray cancels tasks, it ends the process first. Where the thread that it runs in
    is gone, so is the process: Ray kills its workers without a word.
    """
    yield socket.gethostname()
    yield _run(command, token)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """These variables, for a host: programs that are installed beside this Python come first.

    The shell that Ray was started from need not have had them on its path.
    """
    path = [os.path.dirname(sys.executable), *filter(None, [variables.get("PATH")])]
    return {**variables, "PATH": os.pathsep.join(path)}


def _run(command: Sequence[str], token: str) -> int:
    process = None
    try:
        # A child whose parent has died before it could ask for the signal gets no token, and ends because of that.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            env=environment(os.environ),
            preexec_fn=end_with_parent,  # noqa: PLW1509
            start_new_session=True,
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(token.encode())
        while (status := process.poll()) is None:  # a wait without an end could not be interrupted
            time.sleep(_TICK)
        return status
    except OSError as error:
        print(f"{command[0]} cannot be started: {error}", file=sys.stderr, flush=True)
        return NOT_FOUND
    finally:
        if process is not None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, where it has not, and kill it where it does not."""
    deadline = time.monotonic() + _GRACE
    asked = False
    while process.poll() is None:
        with suppress(KeyboardInterrupt):  # there may be more than one
            if not asked:
                process.terminate()
                asked = True
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(_TICK)

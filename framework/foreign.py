"""Running the code of plugins and of files that a pipeline names: what it prints, and who it was that hangs or dies."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import NoReturn

PATIENCE = 5.0  #: seconds of loading after which a line says what is being loaded


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, and no KeyboardInterrupt that foreign code has raised itself."""


@contextmanager
def foreign() -> Iterator[None]:
    """What is printed here goes to standard error: standard output is for what a command has to say.

    So does what other programs print that are started here, and whoever else writes to file descriptor 1.
    """
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    try:
        output = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed
        output = -1
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if output >= 0:
            os.dup2(output, 1)
            os.close(output)


@contextmanager
def watch() -> Iterator[Callable[[str], None]]:
    """Gives a function that names what is loaded next.

    Its name is told when loading takes long, when it is interrupted, and when it ends the process: in the main thread,
    and the former two where nobody else handles those signals.
    """
    loading = ""

    def name_next(name: str) -> None:
        nonlocal loading
        loading = name
        if timed:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def tell(what: str) -> None:
        with suppress(OSError):
            os.write(2, f"{what} {loading}\n".encode(errors="backslashreplace"))

    def interrupted(number: int, frame: FrameType | None) -> NoReturn:
        tell("interrupted while loading")
        raise Interrupted

    def late(number: int, frame: FrameType | None) -> None:
        tell("still loading")

    def ended(status: int) -> NoReturn:
        tell(f"the process is ended with {status} by")
        end(status)

    end, crashes = os._exit, faulthandler.is_enabled()
    here = threading.current_thread() is threading.main_thread()
    timed = here and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    interruptible = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not here:
        yield name_next
        return
    if interruptible:
        signal.signal(signal.SIGINT, interrupted)
    if timed:
        signal.signal(signal.SIGALRM, late)
    os._exit = ended
    with suppress(OSError, ValueError, AttributeError, RuntimeError):  # where standard error is no file
        faulthandler.enable(2)
    try:
        yield name_next
    finally:
        os._exit = end
        if not crashes:
            faulthandler.disable()
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)

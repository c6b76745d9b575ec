"""The systems that the framework runs on."""

from __future__ import annotations

import os

from framework.errors import EXIT_USAGE, FrameworkError


class UnsupportedSystem(FrameworkError):
    """The system lacks what samplers are started with, or what files are locked with."""

    exit_code = EXIT_USAGE


def check_system() -> None:
    """Raise `UnsupportedSystem` where processes cannot be forked, or files not be locked, as on Windows."""
    try:
        import fcntl  # noqa: F401

        missing = "" if hasattr(os, "fork") else "os.fork"
    except ImportError:
        missing = "fcntl"
    if missing:
        raise UnsupportedSystem(
            f"the framework runs on Linux and macOS, and this system has no {missing}; on Windows, use it in WSL"
        )

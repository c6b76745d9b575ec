"""How the process of a sampler or a host ends."""

from __future__ import annotations

import signal

#: Exit codes of a sampler, and of a host.
DONE, ENVIRONMENT_FAILED, TRY_AGAIN, NOT_LET_IN, WRONG_VERSION = 0, 70, 75, 77, 78


def is_final(status: int) -> bool:
    """Whether a host that has ended with this exit code is not to be started again."""
    return status in (DONE, NOT_LET_IN, WRONG_VERSION)


def in_words(status: int) -> str:
    """An exit code, or the name of the signal that minus ``status`` is the number of."""
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name

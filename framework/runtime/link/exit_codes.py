"""How the process of a sampler or a host ends. This module does not import torch or zmq."""

from __future__ import annotations

import signal

#: Exit codes of a sampler, and of a host.
DONE, ENVIRONMENT_FAILED, TRY_AGAIN, NOT_LET_IN, WRONG_VERSION = 0, 70, 75, 77, 78


def in_words(status: int) -> str:
    """An exit code, or the name of the signal that minus ``status`` is the number of."""
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name

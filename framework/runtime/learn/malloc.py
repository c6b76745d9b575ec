"""How the learner's process asks the system for memory."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Have malloc keep what is freed, up to 2 GiB.

    Every minibatch asks for the same large tensors as the one before. Were they given back to the system in between,
    each of their pages would be cleared and mapped anew: a tenth of the time of an update with a small convolutional
    network. Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the highest there is
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)

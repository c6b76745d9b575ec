"""The processors that this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def affine_cores() -> int:
    """Processors that the scheduler may put this process on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def granted_cores(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float | None:
    """Processors' worth of time that a control group grants; None where there is no limit."""
    share, period = file.read_text().split() if file.exists() else ("max", "1")
    return None if share == "max" else int(share) / int(period)


def usable_cores() -> int:
    """Processors that can be kept busy."""
    return max(1, min(affine_cores(), int(granted_cores() or affine_cores())))

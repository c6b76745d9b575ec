"""Schedules: how a learning rate, or any coefficient, changes over the run.

A config class declares one as an option, ``learning_rate_schedule: Schedule = option("constant", help=...)``, and
checks it by `check_schedule` when it is made.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from framework.schema import OptionError

#: A name, or points ``(progress, factor)``.
Schedule = Literal["constant", "linear", "cosine"] | tuple[tuple[float, float], ...]

#: What each schedule does, for the help of options.
SCHEDULES = (
    '"constant"; "linear": decays to 0 at the end of the run; "cosine": likewise, along half a cosine; or points '
    "[[progress, factor], ...], with straight lines between them, such as [[0, 1], [0.5, 0.1]]"
)


def scheduled(value: float, schedule: Schedule, progress: float) -> float:
    """``value`` times the schedule's factor at ``progress``, the share of the run that is done, in [0, 1].

    The factor is 1 (constant), ``1 - progress`` (linear), ``(1 + cos(pi * progress)) / 2`` (cosine; Loshchilov and
    Hutter, 2017, arXiv:1608.03983, equation 5, without restarts), or interpolated between points. Before the first and
    after the last of them it is theirs.
    """
    if schedule == "constant":
        return value
    if schedule == "linear":
        return value * (1.0 - progress)
    if schedule == "cosine":
        return value * 0.5 * (1.0 + math.cos(math.pi * progress))
    return value * _interpolated(schedule, progress)


def check_schedule(schedule: Schedule, name: str) -> None:
    """Raise `OptionError` about the option ``name`` where points are not in order, or none, or negative."""
    if isinstance(schedule, str):
        return
    times = [time for time, _ in schedule]
    if not schedule or times != sorted(set(times)) or times[0] < 0 or times[-1] > 1:
        raise OptionError("must be points with increasing progress between 0 and 1, [[progress, factor], ...]", name)
    if any(factor < 0 for _, factor in schedule):
        raise OptionError("must have no negative factor", name)


def _interpolated(points: tuple[tuple[float, float], ...], progress: float) -> float:
    if progress <= points[0][0]:
        return points[0][1]
    for (start, before), (end, after) in pairwise(points):
        if progress <= end:
            return before + (after - before) * (progress - start) / (end - start)
    return points[-1][1]

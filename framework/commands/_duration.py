"""Durations on the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType[float]
else:
    _ParamType = click.ParamType  # older versions of click cannot subscript it

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 36_500 * _SECONDS["d"]  # dates end some time


class Duration(_ParamType):
    """Seconds, written ``90``, ``90s``, ``10m``, ``1h`` or ``2d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds that a text means."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration: write a number with s, m, h or d, such as 10m", param, ctx)
        seconds = float(match[1]) * _SECONDS[match[2]]
        if seconds > _LONGEST:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return seconds

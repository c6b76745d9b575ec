"""Metrics that components give."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from framework.errors import RunError


def numbers_by_name(whose: str, metrics: Any) -> dict[str, float]:
    """The metrics that a component gave; RunError where they are something else."""
    if not isinstance(metrics, Mapping):
        raise RunError(f"{whose} gave {_shown(metrics)}, not a dict of metrics")
    for name, value in metrics.items():
        if not isinstance(name, str) or not isinstance(value, Real):
            raise RunError(f"{whose} gave {name!r}: {_shown(value)}, not a name and a number")
    return {name: float(value) for name, value in metrics.items()}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."

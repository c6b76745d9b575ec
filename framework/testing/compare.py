"""Bitwise comparison of nested plain values, tensors and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np


def difference(one: Any, other: Any, path: str = "") -> str:
    """The first difference of two nested values, in words; ``""`` where they are equal. NaN equals NaN."""
    place = path or "the whole"
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        inner = (difference(one[key], other[key], f"{path}/{key}") for key in one if key in other)
        return next(filter(None, inner), "") or _lengths(list(one), list(other), place)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        pairs = enumerate(zip(one, other, strict=False))
        inner = (difference(*pair, f"{path}/{index}") for index, pair in pairs)
        return next(filter(None, inner), "") or _lengths(range(len(one)), range(len(other)), place)
    return _difference(one, other, place)


def _lengths(one: Iterable[Any], other: Iterable[Any], place: str) -> str:
    surplus = set(one) ^ set(other)
    return f"{place} has {', '.join(map(str, surplus))} in one of the two only" if surplus else ""


def _difference(one: Any, other: Any, place: str) -> str:
    first, second = _array(one), _array(other)
    if first.dtype.kind in "OU" or second.dtype.kind in "OU":  # None and texts
        return "" if type(one) is type(other) and one == other else f"{place} is {one!r} and {other!r}"
    if first.dtype != second.dtype or first.shape != second.shape:
        return f"{place} is {first.dtype}{list(first.shape)} and {second.dtype}{list(second.shape)}"
    if first.tobytes() != second.tobytes():
        differing = int((first != second).sum())
        return f"{place} differs in {differing} of {first.size}: {_sample(first)} and {_sample(second)}"
    return ""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor, array and plain value of a nested value, as an array, with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{index}")
    else:
        yield path, _array(value)


def assert_finite(value: Any, what: str) -> None:
    """Raise AssertionError where a number in a nested value is NaN or infinite."""
    for path, array in leaves(value):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise AssertionError(f"{what}{path} is not finite: {_sample(array)}")


def through_checkpoint(state: dict[str, Any]) -> dict[str, Any]:
    """The state as it comes back from a checkpoint on disk."""
    from framework.runtime.disk import checkpoint

    with TemporaryDirectory() as folder:
        try:
            restored: dict[str, Any] = checkpoint.load(checkpoint.save(Path(folder), "state", state))
            return restored
        except checkpoint.CheckpointError as error:
            raise AssertionError(f"the state cannot be saved: {error}") from error


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        import torch

        value = value.detach().cpu()
        # numpy has no bfloat16: its bits do as well.
        value = value.view(torch.int16) if value.dtype is torch.bfloat16 else value
    return np.asarray(value)


def _sample(array: np.ndarray) -> str:
    return np.array2string(array.reshape(-1)[:4], precision=6) + (" ..." if array.size > 4 else "")

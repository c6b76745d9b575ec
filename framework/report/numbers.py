"""Numbers as people read them, and where to mark an axis."""

from __future__ import annotations

import itertools
import math

#: From which number on ticks are told in which unit.
_UNITS = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
#: A range is wider than this share of its largest number, or it is taken for one point.
_NARROWEST = 1e-6
_SMALLEST = 1e-200
#: From which multiple of a step the next larger one is nearer, by ratio.
_RATIOS = {1: math.sqrt(2), 2: math.sqrt(2.5), 5: math.sqrt(2)}


def number(value: float, digits: int = 4) -> str:
    """A number with about so many significant digits: ``1,234,567``, ``0.01234``, ``1.2e-07``."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}" if size < 1e15 else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}"


def compact(value: float) -> str:
    """A number in few letters: ``8192``, ``62.5k``, ``1.5M``."""
    unit, name = next(((unit, name) for least, unit, name in _UNITS if abs(value) >= least), (1.0, ""))
    return f"{value / unit:.3g}{name}" if name else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds as ``0:42`` or ``1:02:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def amount(size: float) -> str:
    """Bytes as ``312 kB``."""
    for factor, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{size / factor:.3g} {name}"
    return f"{size:.0f} B"


def widened(low: float, high: float) -> tuple[float, float]:
    """A range that is none, such as that of a constant, as one around it."""
    largest = max(abs(low), abs(high))
    if high - low > max(_NARROWEST * largest, _SMALLEST):
        return low, high
    middle, half = (low + high) / 2, largest / 2 if largest > _SMALLEST else 0.5
    return middle - half, middle + half


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside a range, about ``count``: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    # Of two neighbouring steps the one that is nearer to the rough one by its ratio.
    step = power * next((factor for factor in (1, 2, 5) if rough / power < factor * _RATIOS[factor]), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_labels(values: list[float]) -> list[str]:
    """What `ticks` are called, with as many digits as tell them apart: ``0``, ``20k``, ``40k``."""
    largest = max(map(abs, values), default=0.0)
    step = min((after - before for before, after in itertools.pairwise(values)), default=largest) or 1.0
    if largest and not 1e-3 <= largest < 1e13:
        digits = _exponent(largest) - _exponent(step)
        return [_scientific(value, digits) if abs(value) > step / 2 else "0" for value in values]
    unit, name = next(((unit, name) for least, unit, name in _UNITS if largest >= least), (1.0, ""))
    decimals = max(0, -_exponent(step / unit))
    return [f"{value / unit:.{decimals}f}{name}" if abs(value) > step / 2 else "0" for value in values]


def _exponent(value: float) -> int:
    return math.floor(math.log10(value) + 1e-9)


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"

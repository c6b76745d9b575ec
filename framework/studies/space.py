"""What a sweep may change: a TOML file that gives a range or choices to dotted keys of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

import framework
from framework.errors import PipelineError, Problem
from framework.pipeline.toml import KEY, literal, parse, split
from framework.schema import OptionError, join, option, options, plain, structure, suggest

#: Sections that belong to the sweep itself: what a trial costs, and how it is measured.
_FIXED = ("run", "evaluation")
_EXAMPLE = "{ low = 1e-5, high = 1e-2, log = true }, or { choices = [32, 64] }"


@frozen
class Range:
    """What stands at a key of the file: bounds, or choices."""

    low: int | float | None = option(None, help="Smallest value.")
    high: int | float | None = option(None, help="Largest value.")
    step: int | float | None = option(None, help="Distance between two values.", gt=0)
    log: bool = option(False, help="Whether the logarithm is drawn uniformly.")
    choices: tuple[Any, ...] | None = option(None, help="The values, instead of bounds.")
    when: dict[str, Any] = option(
        factory=dict, help="Keys above with the value, or an array of values, that this one is drawn at only."
    )

    def __attrs_post_init__(self) -> None:
        if self.choices is not None:
            if (self.low, self.high, self.step, self.log) != (None, None, None, False):
                raise OptionError("stand alone, without low, high, step or log", "choices")
            if len({literal(choice) for choice in self.choices}) < max(2, len(self.choices)):
                raise OptionError("must be two or more, all different", "choices")
            return
        if self.low is None or self.high is None:
            raise OptionError(f"expected low and high, or choices, such as {_EXAMPLE}")
        if self.low >= self.high:
            raise OptionError(f"must be greater than low, which is {self.low}; is {self.high}", "high", "low")
        if self.log and self.low <= 0:
            raise OptionError(f"must be greater than 0 where log = true, is {self.low}", "low", "log")
        if self.log and self.step is not None:
            raise OptionError("has no meaning where log = true", "step", "log")
        if self.step is not None:
            low, high, step = (Decimal(str(number)) for number in (self.low, self.high, self.step))
            if (high - low) % step:
                reachable = low + (high - low) // step * step
                raise OptionError(
                    f"must be low and some steps of {self.step}, such as {reachable}; is {self.high}", "high", "low"
                )


@frozen
class Dimension:
    """A key that is drawn for each trial, and what from."""

    key: str  #: dotted, as overrides have it
    range: Range
    line: int | None  #: of the file
    integer: bool = False  #: whether whole numbers are drawn between the bounds

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values that the pipeline has to take for all to be taken: both bounds, or every choice."""
        return (self.range.low, self.range.high) if self.range.choices is None else self.range.choices

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it is drawn, where ``values`` have been drawn for the keys above."""
        return all(key in values and values[key] in _several(value) for key, value in self.range.when.items())


@frozen
class Space:
    """The dimensions of a sweep, in the order of the file."""

    dimensions: tuple[Dimension, ...]

    def overrides(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Values by key as overrides, as they are typed."""
        return tuple(f"{key}={literal(value)}" for key, value in values.items())

    def describe(self, values: Mapping[str, Any]) -> str:
        """Values by key on one line, fractions in four digits."""
        return ", ".join(f"{key} = {shortened(value)}" for key, value in values.items())

    def to_plain(self) -> dict[str, Any]:
        """The space as its file could say it."""
        return {dimension.key: plain(dimension.range) for dimension in self.dimensions}


def shortened(value: Any) -> str:
    """A value as TOML, a fraction in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else literal(value)


def read_space(path: Path, pipeline: Path) -> Space:
    """The space in a file, checked against the pipeline that it is about.

    A key may be written dotted and in quotes, or in tables. Raises `PipelineError` with every problem: what is wrong
    with the file itself, keys that the pipeline has not, and bounds and choices that it does not take.
    """
    framework.load(pipeline)  # its own problems are told as its own
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not encoded in UTF-8"
        raise PipelineError([Problem(f"cannot be read: {reason}", None, str(path))]) from None
    values, lines = parse(text, str(path))
    dimensions, problems = [], []
    for place, key, table in _tables(values):
        if not key:
            problems.append(Problem(f"expected {_EXAMPLE}", place, str(path), lines.get(place)))
            continue
        parsed, mistakes = structure(Range, table, key)
        for mistake in mistakes:
            inside = (mistake.path or key).removeprefix(key)
            problems.append(mistake._replace(file=str(path), line=lines.get(place + inside, lines.get(place))))
        if parsed is not None:
            dimensions.append(Dimension(key, parsed, lines.get(place)))
    if not values:
        problems.append(Problem(f'has no keys, such as "algorithm.learning_rate" = {_EXAMPLE}', None, str(path)))
    if not problems:
        problems = [*_repeated(dimensions), *_misplaced_conditions(dimensions)]
        problems = problems or [
            problem for dimension in dimensions for problem in _refusals(dimension, dimensions, pipeline)
        ]
        problems = [problem._replace(file=str(path)) for problem in dict.fromkeys(problems)]
    if problems:
        raise PipelineError(problems)
    return Space(tuple(_typed(dimension, dimensions, pipeline) for dimension in dimensions))


def _tables(table: Mapping[str, Any], place: str = "", key: str = "") -> Iterator[tuple[str, str, Any]]:
    """Where a range stands in the document, the pipeline's key that it is for ("" where it is none), and its table.

    A table without any option of a range is a part of a key, as in ``[algorithm]``.
    """
    for name, value in table.items():
        where = join(place, name)
        if KEY.fullmatch(name) is None:
            yield where, "", value
            continue
        dotted = key
        for part in split(name):
            dotted = join(dotted, part)
        if not isinstance(value, dict):
            yield where, "", value
        elif not value or any(name in options(Range) and not isinstance(inner, dict) for name, inner in value.items()):
            yield where, dotted, value
        else:
            yield from _tables(value, where, dotted)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- checks ------------------------------------------------------------------------------------------------------


def _repeated(dimensions: list[Dimension]) -> Iterator[Problem]:
    keys: set[str] = set()
    for dimension in dimensions:
        if dimension.key in keys:
            yield Problem("stands in the file twice", dimension.key, line=dimension.line)
        keys.add(dimension.key)


def _misplaced_conditions(dimensions: list[Dimension]) -> Iterator[Problem]:
    above: dict[str, Dimension] = {}
    for dimension in dimensions:
        for key, value in dimension.range.when.items():
            path = join(join(dimension.key, "when"), key)
            choices = above[key].range.choices if key in above else None
            if choices is None:
                guess = suggest(key, above)
                advice = f"; did you mean {guess}?" if guess else ""
                reason = f"must be a key with choices that stands above{advice}"
                yield Problem(reason, path, line=dimension.line)
            elif unknown := [choice for choice in _several(value) if choice not in choices]:
                listed = ", ".join(map(literal, choices))
                yield Problem(f"{literal(unknown[0])} is none of its choices: {listed}", path, line=dimension.line)
        above[dimension.key] = dimension


def _refusals(dimension: Dimension, dimensions: list[Dimension], pipeline: Path) -> Iterator[Problem]:
    """What the pipeline has against a dimension's key or its extreme values, under each choice that it depends on."""
    if (section := split(dimension.key)[0]) in _FIXED:
        yield Problem(f"[{section}] cannot be tuned: it says what a trial is", dimension.key, line=dimension.line)
        return
    for context in _contexts(dimension, dimensions):
        for value in dimension.extremes:
            for problem in _problems(pipeline, context, dimension.key, value):
                under = ", ".join(f"{key} = {literal(choice)}" for key, choice in context.items())
                message = f"{problem.message} (at {under})" if under else problem.message
                yield problem._replace(message=message, line=dimension.line)


def _contexts(dimension: Dimension, dimensions: list[Dimension]) -> Iterator[dict[str, Any]]:
    """Values of the other keys that decide whether the pipeline has this one.

    These are the keys of its condition, and those that choose the component whose table it is in.
    """
    table = {d.key: d for d in dimensions if d.key.endswith(".use") and d is not dimension}
    deciding = {key: list(d.extremes) for key, d in table.items() if dimension.key.startswith(key.removesuffix("use"))}
    deciding |= {key: _several(value) for key, value in dimension.range.when.items()}
    for choices in product(*deciding.values()):
        yield dict(zip(deciding, choices, strict=True))


def _problems(pipeline: Path, context: Mapping[str, Any], key: str, value: Any) -> list[Problem]:
    """What the pipeline has against a value of a key; problems of other keys may end when those are drawn, too."""
    try:
        framework.load(pipeline, {**context, key: value})
    except PipelineError as error:
        return [problem for problem in error.problems if _concerns(problem.path or "", key)]
    return []


def _concerns(path: str, key: str) -> bool:
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def _typed(dimension: Dimension, dimensions: list[Dimension], pipeline: Path) -> Dimension:
    """The dimension with whole numbers where its bounds are whole and the pipeline takes no fractions there."""
    bounds = (dimension.range.low, dimension.range.high, dimension.range.step or 1)
    if dimension.range.choices is not None or not all(isinstance(bound, int) for bound in bounds):
        return dimension
    context = next(_contexts(dimension, dimensions))
    fraction = float(bounds[0] or 0) + 0.5
    return evolve(dimension, integer=bool(_problems(pipeline, context, dimension.key, fraction)))

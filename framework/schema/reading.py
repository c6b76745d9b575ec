"""Plain values to instances of config classes, with every problem and its key, and back."""

from __future__ import annotations

import math
import operator
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

import attrs
from attrs import NOTHING

from framework.errors import Problem
from framework.schema.fields import former_names, kind_of, options, type_name
from framework.schema.text import join, quote, show, suggest

_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "ge": ("at least", operator.ge),
    "gt": ("greater than", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("less than", operator.lt),
}


def structure(cls: type, plain: Any, path: str = "", reserved: Iterable[str] = ()) -> tuple[Any, list[Problem]]:
    """An instance of the config class ``cls`` made of plain values, or ``None`` and everything that is wrong.

    ``path`` is the dotted key of ``plain``; each problem carries the dotted key that it is about. Keys of the table
    that are ``reserved`` belong to somebody else.
    """
    problems: list[Problem] = []
    value = _read_class(cls, plain, path, problems, tuple(reserved))
    return (None if problems else value), problems


def plain(value: Any) -> Any:
    """The plain values of a config instance: tables, arrays and scalars. Fields that are ``None`` are left out."""
    if attrs.has(type(value)):
        values = ((key, getattr(value, field.name)) for key, (field, _) in options(type(value)).items())
        return {key: plain(inner) for key, inner in values if inner is not None}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def unknown_keys(
    table: Iterable[str], known: Iterable[str], path: str, reserved: Iterable[str] = ()
) -> tuple[list[Problem], set[str]]:
    """A problem for each key of ``table`` that is not ``known``, and the known keys that these were meant to be.

    Keys that are ``reserved`` are somebody else's: no problem, and no option.
    """
    names, foreign = list(known), list(reserved)
    problems, meant = [], set()
    unknown = [key for key in table if key not in names and key not in foreign]
    for key in unknown[:20]:  # a table of some thousands would take minutes to suggest for
        guess = suggest(key, (*names, *foreign))
        meant.add(guess)
        advice = (
            f"did you mean {guess}?" if guess else f"known: {', '.join(names)}" if names else "there are no options"
        )
        problems.append(Problem(f"unknown key; {advice}", join(path, key)))
    if len(unknown) > 20:
        problems.append(Problem(f"and {len(unknown) - 20:,} more unknown keys", path or None))
    return problems, meant


def _read(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    """``value`` as the type ``hint``; what is wrong is added to ``problems``."""
    return _READERS[kind_of(hint)](hint, value, path, problems)


def _read_class(cls: Any, value: Any, path: str, problems: list[Problem], reserved: tuple[str, ...] = ()) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        return _mismatch("a table", value, path, problems)
    problems_before = len(problems)
    renamed = {old: new for old, new in former_names(cls).items() if old in value and old not in reserved}
    problems.extend(Problem(f"{old} is named {new} now", join(path, old)) for old, new in renamed.items())
    hints = getattr(cls, "hints", {})
    hinted = {key: hints[key] for key in value if key in hints and key not in (*options(cls), *reserved)}
    problems.extend(Problem(f"unknown key; {hint}", join(path, key)) for key, hint in hinted.items())
    unknown, meant = unknown_keys(value, options(cls), path, (*reserved, *renamed, *hinted))
    problems.extend(unknown)
    meant.update(renamed.values())
    arguments: dict[str, Any] = {}
    unreadable: set[str] = set()
    for key, (field, hint) in options(cls).items():
        if key in value:
            mistakes: list[Problem] = []
            argument = read_option(field, hint, value[key], join(path, key), mistakes)
            problems.extend(mistakes)
            if mistakes:
                unreadable.add(key)
            else:
                arguments[key] = argument
        elif field.default is NOTHING and key not in meant:
            problems.append(Problem(f"missing: {field.metadata.get('help', 'it has no default')}", join(path, key)))
    result = None
    if all(key in arguments or field.default is not NOTHING for key, (field, _) in options(cls).items()):
        try:
            result = cls(**arguments)
        except ValueError as error:
            names = getattr(error, "options", ())
            # A rule is only known to be broken where all that it is about could be read.
            if not unreadable or (names and unreadable.isdisjoint(names)):
                problems.append(Problem(str(error), join(path, names[0]) if names else path or None))
    return result if len(problems) == problems_before else None


def read_option(field: attrs.Attribute[Any], hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    """``value`` as the type ``hint``, held against the rules of the option; what is wrong is added to ``problems``."""
    result = _read(hint, value, path, problems)
    problems.extend(_broken_rules(field.metadata, result, path))
    return result


def _broken_rules(metadata: Mapping[Any, Any], value: Any, path: str) -> Iterator[Problem]:
    if isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from _broken_rules(metadata, item, join(path, index))
        return
    for name, bound in metadata.get("bounds", {}).items() if _is_number(value) else ():
        words, holds = _BOUNDS[name]
        if not holds(value, bound):
            yield Problem(f"must be {words} {bound}, is {value}", path)
    if metadata.get("choices") and value is not None:
        problems: list[Problem] = []
        _choose(metadata["choices"], value, path, problems)
        yield from problems
    pattern = metadata.get("pattern")
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
        yield Problem(f"must match {pattern}, not {show(value)}", path)


def _read_union(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    members = [member for member in get_args(hint) if member is not types.NoneType]
    if value is None and len(members) < len(get_args(hint)):
        return None
    if len(members) == 1:
        return _read(members[0], value, path, problems)
    for member in members:
        attempt: list[Problem] = []
        result = _read(member, value, path, attempt)
        if not attempt:
            return result
    words = [word for member in members if kind_of(member) == "choice" for word in get_args(member)]
    return _mismatch(type_name(hint, article=True), value, path, problems, _meant(value, words))


def _read_choice(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    return _choose(get_args(hint), value, path, problems)


def _choose(choices: tuple[Any, ...], value: Any, path: str, problems: list[Problem]) -> Any:
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    wanted = ("one of " if len(choices) > 1 else "") + ", ".join(map(show, choices))
    return _mismatch(wanted, value, path, problems, _meant(value, choices))


def _read_number(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if not _is_number(value):
        return _read_scalar(hint, value, path, problems)
    in_range = _read_value(Any, value, path, problems)
    return None if in_range is None else float(in_range)


def _read_scalar(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return _read_value(Any, value, path, problems)
    literals = {bool: r"true|false", int: r"[+-]?\d+", float: r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", str: "(?!)"}
    advice = ""
    if isinstance(value, str) and re.fullmatch(literals[hint], value.lower()):
        advice = f"write {value.lower()}" if value.lower() != value else "write it without quotes"
    return _mismatch(type_name(hint, article=True), value, path, problems, advice)


def _read_array(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    kind, inner = get_origin(hint) or hint, get_args(hint) or (Any, ...)
    if not isinstance(value, (list, tuple)):
        return _mismatch("an array", value, path, problems)
    if kind is list or inner[-1] is ...:
        inner = (inner[0],) * len(value)
    if len(value) != len(inner):
        return problems.append(Problem(f"expected {len(inner)} elements, not {len(value)}", path))
    return kind(_read(inner[index], item, join(path, index), problems) for index, item in enumerate(value))


def _read_table(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        return _mismatch("a table", value, path, problems)
    if no_strings := [key for key in value if not isinstance(key, str)]:
        return problems.append(Problem(f"keys must be strings, not {show(no_strings[0])}", path))
    inner = (get_args(hint) or (str, Any))[1]
    return {key: _read(inner, item, join(path, key), problems) for key, item in value.items()}


def _read_value(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    """A plain value of whatever type, as it is."""
    if isinstance(value, Mapping):
        return _read_table(dict, value, path, problems)
    if isinstance(value, (list, tuple)):
        return _read_array(list, value, path, problems)
    if isinstance(value, float) and not math.isfinite(value):
        return problems.append(Problem(f"must be a finite number, is {value}", path))
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return problems.append(Problem("must fit into 64 bits", path))
    if isinstance(value, (bool, int, float, str)):
        return value
    return _mismatch("a string, number, boolean, array or table", value, path, problems)


_READERS: dict[str, Callable[[Any, Any, str, list[Problem]], Any]] = {
    "class": _read_class,
    "union": _read_union,
    "choice": _read_choice,
    "boolean": _read_scalar,
    "integer": _read_scalar,
    "number": _read_number,
    "string": _read_scalar,
    "array": _read_array,
    "table": _read_table,
    "value": _read_value,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mismatch(wanted: str, value: Any, path: str, problems: list[Problem], advice: str = "") -> None:
    problems.append(Problem(f"expected {wanted}, not {show(value)}" + (f"; {advice}" if advice else ""), path or None))


def _meant(value: Any, words: Iterable[Any]) -> str:
    guess = suggest(value, (word for word in words if isinstance(word, str))) if isinstance(value, str) else ""
    return f"did you mean {quote(guess)}?" if guess else ""

"""Options of components: attrs classes, checked strictly, to and from plain values.

A config class is a frozen attrs class whose fields are made with `option`. Understood types: ``bool``, ``int``,
``float``, ``str``, ``Literal``, ``X | Y``, ``X | None`` (``None`` by default, as TOML has no null),
``tuple[X, ...]``, ``tuple[X, Y]``, ``list[X]``, ``dict[str, X]``, ``Any`` and other such classes.
Plain values are what TOML and JSON share: strings, integers of 64 bits, finite numbers, booleans, arrays, tables.
"""

from __future__ import annotations

import functools
import math
import operator
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import NOTHING

from framework.errors import Problem

_KINDS: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    tuple: "array",
    list: "array",
    dict: "table",
    Any: "value",
    Literal: "choice",
    Union: "union",
    types.UnionType: "union",
}
_SCALARS = ("boolean", "integer", "number", "string")
_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "ge": ("at least", operator.ge),
    "gt": ("greater than", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("less than", operator.lt),
}


class OptionError(ValueError):
    """A rule of a config class is broken; ``options`` names the field to blame, then others that the rule is about."""

    def __init__(self, message: str, *options: str):
        self.options = options
        super().__init__(message)


def option(
    default: Any = NOTHING,
    *,
    help: str,
    factory: Callable[[], Any] | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Iterable[Any] | None = None,
    pattern: str | None = None,
    part: str | None = None,
    function: bool = False,
) -> Any:
    """One option of a config class, given by keyword; without ``default`` or ``factory`` it is required.

    Bounds (of numbers), choices, and ``pattern`` (of whole strings) hold for each element of an array. ``part`` is the
    kind of component that the option names, by a string or a table with ``use`` (type ``str | dict[str, Any]``), or a
    table of such (``dict[str, str | dict[str, Any]]``); see `framework.interfaces.Context.make_part`. ``function`` says
    that the option names one, ``"module:function"``; see `framework.interfaces.Context.find_function`. Building the
    class with a value of another type, or with one that breaks them, raises `OptionError`; integers become floats
    and lists tuples where the type says so.
    """
    bounds = {name: bound for name, bound in (("ge", ge), ("gt", gt), ("le", le), ("lt", lt)) if bound is not None}
    metadata: dict[str, Any] = {"help": help, "bounds": bounds, "choices": tuple(choices or ()), "pattern": pattern}
    metadata |= {"part": part, "function": function}
    if factory is not None:
        default = attrs.Factory(factory)
    converter = attrs.Converter(_convert, takes_self=True, takes_field=True)
    return attrs.field(default=default, kw_only=True, converter=converter, metadata=metadata)


def structure(cls: type, plain: Any, path: str = "", reserved: Iterable[str] = ()) -> tuple[Any, list[Problem]]:
    """An instance of the config class ``cls`` made of plain values, or ``None`` and everything that is wrong.

    ``path`` is the dotted key of ``plain``; each problem carries the dotted key that it is about. Keys of the table
    that are ``reserved`` belong to somebody else.
    """
    problems: list[Problem] = []
    value = _read_class(cls, plain, path, problems, reserved)
    return (None if problems else value), problems


def plain(value: Any) -> Any:
    """The plain values of a config instance: tables, arrays and scalars. Fields that are ``None`` are left out."""
    if attrs.has(type(value)):
        values = ((key, getattr(value, field.name)) for key, (field, _) in options(type(value)).items())
        return {key: plain(inner) for key, inner in values if inner is not None}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def join(path: str, key: str | int) -> str:
    """The dotted key of ``key``, or of the index of an array's element, inside ``path``: quoted where TOML does."""
    name = str(key) if re.fullmatch(r"[A-Za-z0-9_-]+", str(key)) else quote(str(key))
    return f"{path}.{name}" if path else name


def quote(text: str) -> str:
    """``text`` as a basic string of TOML, on one line."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c) or (c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + '"'


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that ``name`` was probably meant to be, or ``""``."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def check_defaults(cls: Any) -> None:
    """Raise ValueError where a default of the config class breaks the option's own rules."""
    for key, (field, hint) in options(cls).items():
        problems: list[Problem] = []
        try:
            if (default := default_of(field)) is not NOTHING:
                _read_option(field, hint, default, key, problems)
        except Exception as error:  # any code may make a default
            raise ValueError(f"the default of {key} cannot be made: {error!r}") from error
        if problems:
            raise ValueError(f"the default of {problems[0]}")


def unknown_keys(
    table: Iterable[str], known: Iterable[str], path: str, reserved: Iterable[str] = ()
) -> tuple[list[Problem], set[str]]:
    """A problem for each key of ``table`` that is not ``known``, and the known keys that these were meant to be.

    Keys that are ``reserved`` are somebody else's: no problem, and no option.
    """
    present, names, others = set(table), list(known), list(reserved)
    problems, meant = [], set()
    unknown = [key for key in table if key not in names and key not in others]
    for key in unknown[:20]:  # a table of some thousands would take minutes to suggest for
        guess = suggest(key, (name for name in (*names, *others) if name not in present))
        meant.add(guess)
        advice = (
            f"did you mean {guess}?" if guess else f"known: {', '.join(names)}" if names else "there are no options"
        )
        problems.append(Problem(f"unknown key; {advice}", join(path, key)))
    if len(unknown) > 20:
        problems.append(Problem(f"and {len(unknown) - 20:,} more unknown keys", path or None))
    return problems, meant


# --- reading ---------------------------------------------------------------------------------------------------


def options(cls: Any) -> dict[str, tuple[attrs.Attribute[Any], Any]]:
    """``{key: (attribute, type)}`` of a config class. Raises TypeError where a type is none that is understood."""
    return _options(cls)


@functools.cache
def _options(cls: Any) -> dict[str, tuple[attrs.Attribute[Any], Any]]:
    hints = get_type_hints(cls)
    fields = {field.alias or field.name: (field, hints[field.name]) for field in attrs.fields(cls) if field.init}
    for key, (field, hint) in fields.items():
        _check_type(hint)
        if types.NoneType in get_args(hint) and field.default is not None:
            raise TypeError(f"{cls.__qualname__}.{key} may be None, so that must be its default: TOML has no null")
    return fields


def _check_type(hint: Any) -> None:
    if kind_of(hint) == "class":
        options(hint)
    elif kind_of(hint) != "choice":
        for inner in get_args(hint):
            if inner not in (types.NoneType, ...):
                _check_type(inner)


def kind_of(hint: Any) -> str:
    """Which of the understood types it is; raises TypeError where it is none."""
    kind = "class" if attrs.has(hint) else _KINDS.get(get_origin(hint) or hint)
    if kind is None:
        raise TypeError(f"an option cannot have the type {hint}")
    return kind


def _convert(value: Any, instance: Any, field: attrs.Attribute[Any]) -> Any:
    problems: list[Problem] = []
    key = field.alias or field.name
    result = _read_option(*options(type(instance))[key], value, key, problems)
    if problems:
        raise OptionError("; ".join(map(str, problems)), key)
    return result


def _read(hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    """``value`` as the type ``hint``; what is wrong is added to ``problems``."""
    return _READERS[kind_of(hint)](hint, value, path, problems)


def _read_class(cls: Any, value: Any, path: str, problems: list[Problem], reserved: Iterable[str] = ()) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        return _mismatch("a table", value, path, problems)
    found = len(problems)
    unknown, meant = unknown_keys(value, options(cls), path, reserved)
    problems.extend(unknown)
    good, bad = {}, set()
    for key, (field, hint) in options(cls).items():
        if key in value:
            before = len(problems)
            argument = _read_option(field, hint, value[key], join(path, key), problems)
            if len(problems) > before:
                bad.add(key)
            else:
                good[key] = argument
        elif field.default is NOTHING and key not in meant:
            problems.append(Problem(f"missing: {field.metadata.get('help', 'it has no default')}", join(path, key)))
    result = None
    if all(key in good or field.default is not NOTHING for key, (field, _) in options(cls).items()):
        try:
            result = cls(**good)
        except ValueError as error:
            names = getattr(error, "options", ())
            # A rule is only known to be broken where all that it is about could be read.
            if not bad or (names and bad.isdisjoint(names)):
                problems.append(Problem(str(error), join(path, names[0]) if names else path or None))
    return result if len(problems) == found else None


def _read_option(field: attrs.Attribute[Any], hint: Any, value: Any, path: str, problems: list[Problem]) -> Any:
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
        yield Problem(f"must match {pattern}, not {_show(value)}", path)


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
    wanted = ("one of " if len(choices) > 1 else "") + ", ".join(map(_show, choices))
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
    unquoted = isinstance(value, str) and re.fullmatch(literals[hint], value)
    advice = "write it without quotes" if unquoted else ""
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
    if wrong := [key for key in value if not isinstance(key, str)]:
        return problems.append(Problem(f"keys must be strings, not {_show(wrong[0])}", path))
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
    problems.append(Problem(f"expected {wanted}, not {_show(value)}" + (f"; {advice}" if advice else ""), path or None))


def _meant(value: Any, words: Iterable[Any]) -> str:
    guess = suggest(value, (word for word in words if isinstance(word, str))) if isinstance(value, str) else ""
    return f"did you mean {quote(guess)}?" if guess else ""


def _show(value: Any) -> str:
    """A value as a message shows it: scalars as TOML writes them, anything larger by its kind."""
    if isinstance(value, str):
        return quote(value if len(value) < 60 else value[:57] + "...")
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    return "a table" if isinstance(value, Mapping) else "an array" if isinstance(value, (list, tuple)) else repr(value)


def type_name(hint: Any, *, article: bool = False) -> str:
    """What a type is called in messages and documentation: ``integer``, ``array of strings``, ``"a" or "b"``."""
    kind, arguments = kind_of(hint), get_args(hint)
    if kind == "union":
        return " or ".join(type_name(inner, article=article) for inner in arguments if inner is not types.NoneType)
    if kind == "choice":
        return " or ".join(map(_show, arguments))
    name = "table" if kind == "class" else kind
    if kind == "array":
        inner = "".join({type_name(inner) for inner in arguments if inner is not ...})
        name = f"array of {inner}s" if inner in _SCALARS else "array"
    return f"a{'n' if name[0] in 'aeiou' else ''} {name}" if article else name


def default_of(field: attrs.Attribute[Any]) -> Any:
    """The default value of a field; ``NOTHING`` where it has none, or one that depends on other fields."""
    default: Any = field.default
    if not hasattr(default, "takes_self"):
        return default
    return NOTHING if default.takes_self else default.factory()

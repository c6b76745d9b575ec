"""What a config class declares: its options, with their types, defaults and former names."""

from __future__ import annotations

import functools
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import NOTHING

from framework.schema.text import show

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


def options(cls: Any) -> dict[str, tuple[attrs.Attribute[Any], Any]]:
    """``{key: (attribute, type)}`` of a config class.

    Raises TypeError where a type is none that is understood, and where an option's former name is an option.
    """
    return _options(cls)


@functools.cache
def _options(cls: Any) -> dict[str, tuple[attrs.Attribute[Any], Any]]:
    hints = get_type_hints(cls)
    fields = {field.alias or field.name: (field, hints[field.name]) for field in attrs.fields(cls) if field.init}
    for key, (field, hint) in fields.items():
        _check_type(hint)
        if types.NoneType in get_args(hint) and field.default is not None:
            raise TypeError(f"{cls.__qualname__}.{key} may be None, so that must be its default: TOML has no null")
        for former in field.metadata.get("formerly", ()):
            if former in fields:
                raise TypeError(f"{cls.__qualname__}.{key} cannot have been named {former}, which is an option now")
    return fields


def former_names(cls: Any) -> dict[str, str]:
    """``{former name: key}`` of the options of a config class that were renamed."""
    return {former: key for key, (field, _) in options(cls).items() for former in field.metadata.get("formerly", ())}


def default_of(field: attrs.Attribute[Any]) -> Any:
    """The default value of a field; ``NOTHING`` where it has none, or one that depends on other fields."""
    default: Any = field.default
    if not hasattr(default, "takes_self"):
        return default
    return NOTHING if default.takes_self else default.factory()


def kind_of(hint: Any) -> str:
    """Which of the understood types it is; raises TypeError where it is none."""
    kind = "class" if attrs.has(hint) else _KINDS.get(get_origin(hint) or hint)
    if kind is None:
        raise TypeError(f"an option cannot have the type {hint}")
    return kind


def _check_type(hint: Any) -> None:
    if kind_of(hint) == "class":
        options(hint)
    elif kind_of(hint) != "choice":
        for inner in get_args(hint):
            if inner not in (types.NoneType, ...):
                _check_type(inner)


def type_name(hint: Any, *, article: bool = False) -> str:
    """What a type is called in messages and documentation: ``integer``, ``array of strings``, ``"a" or "b"``."""
    kind, arguments = kind_of(hint), get_args(hint)
    if kind == "union":
        return " or ".join(type_name(inner, article=article) for inner in arguments if inner is not types.NoneType)
    if kind == "choice":
        return " or ".join(map(show, arguments))
    name = "table" if kind == "class" else kind
    if kind == "array":
        inner = "".join({type_name(inner) for inner in arguments if inner is not ...})
        name = f"array of {inner}s" if inner in _SCALARS else "array"
    return f"a{'n' if name[0] in 'aeiou' else ''} {name}" if article else name

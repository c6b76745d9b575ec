"""Writes YAML that people read: objects of tables, arrays, strings, integers and booleans, and no others.

A string is written plain only where no version of YAML takes it for anything else, and otherwise in double quotes with
the escapes that JSON and YAML share. Arrays of scalars are on one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
#: What YAML 1.1 reads as a boolean or as nothing.
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
#: Characters that JSON may hold as they are, and YAML may not, or takes for the end of a line.
_UNPRINTABLE = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def documents(objects: Iterable[Mapping[str, Any]]) -> str:
    """Each object as a document of its own. Raises `TypeError` for values of other kinds."""
    return "---\n".join("".join(f"{line}\n" for line in _table(entries)) for entries in objects)


def _table(entries: Mapping[str, Any]) -> Iterator[str]:
    for key, value in entries.items():
        if isinstance(value, Mapping) and value:
            yield f"{_scalar(key)}:"
            yield from (f"  {line}" for line in _table(value))
        elif _is_array(value) and not all(map(_is_scalar, value)):
            yield f"{_scalar(key)}:"
            yield from _array(value)
        else:
            yield f"{_scalar(key)}: {_inline(value)}"


def _array(items: Sequence[Any]) -> Iterator[str]:
    for item in items:
        lines = _table(item) if isinstance(item, Mapping) and item else iter([_inline(item)])
        yield f"  - {next(lines)}"
        yield from (f"    {line}" for line in lines)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_inline(inner)}" for key, inner in value.items()) + "}"
    return f"[{', '.join(map(_inline, value))}]" if _is_array(value) else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"{value!r} has no place in a manifest")
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def _is_array(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (Mapping, list, tuple))

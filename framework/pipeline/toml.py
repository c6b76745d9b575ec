"""TOML with the line of every key, and TOML written from plain values. Parsing itself is `tomllib`'s."""

from __future__ import annotations

import re
import sys
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from framework.errors import PipelineError, Problem
from framework.schema import join, quote

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
KEY = re.compile(rf"[ \t]*{_PART}(?:[ \t]*\.[ \t]*{_PART})*[ \t]*")
#: Tables and arrays inside one another, and keys and elements altogether: far more than any pipeline has.
DEPTH_LIMIT = 64
VALUE_LIMIT = 100_000
_DEEP_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*{_PART}(?:[ \t]*\.[ \t]*{_PART}){{{DEPTH_LIMIT},}}", re.MULTILINE)
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"""{1,3}|' r"'''.*?'''{1,3}|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def parse(text: str, file: str | None = None) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of a TOML document, and the line (from 1) of each dotted key: tables and elements of arrays too.

    Raises `PipelineError`, naming ``file``, where it is no TOML.
    """
    text = text.replace("\r\n", "\n")
    try:
        if _DEEP_KEY.search(_STRING.sub('""', text)):  # tomllib takes time that is quadratic in the parts of a key
            raise RecursionError
        values = tomllib.loads(text)
        check_size(values)
        return values, _Lines(text).lines
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rpartition(" (at ")
        line = re.match(r"line (\d+)", place)
        at = int(line[1]) if line else text.count("\n", 0, len(text.rstrip())) + 1
        raise PipelineError([Problem(f"not TOML: {reason or error}", None, file, at)]) from None
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, arrays in arrays in arrays ...
        raise PipelineError([Problem(f"not TOML: {too_large(error)}", None, file)]) from None


def too_large(error: ValueError | RecursionError) -> str:
    """What `tomllib` or `check_size` met, in words."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if "set_int_max_str_digits" in str(error):  # Python's advice is for programmers
        return f"a number of more than {sys.get_int_max_str_digits():,} digits"
    return str(error)


def check_size(values: dict[str, Any]) -> None:
    """Raise `RecursionError` above `DEPTH_LIMIT`, and ValueError above `VALUE_LIMIT`."""
    count = 0
    level: list[Any] = [values]
    for _ in range(DEPTH_LIMIT):
        containers = [(value.values() if isinstance(value, dict) else value) for value in level]
        count += sum(len(items) for items in containers)
        level = [value for items in containers for value in items if isinstance(value, dict | list)]
    if level:
        raise RecursionError
    if count > VALUE_LIMIT:
        raise ValueError(f"{count:,} keys and elements; {VALUE_LIMIT:,} at most are possible")


def split(key: str) -> list[str]:
    """The parts of a dotted key, without their quotes."""
    return [tomllib.loads(f"k={part}")["k"] if part[0] in "\"'" else part for part in re.findall(_PART, key)]


class _Lines:
    """Walks over a document that is known to be TOML, noting the line of each key and element."""

    def __init__(self, text: str):
        self._text = text
        self._position = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._sizes: dict[str, int] = {}  # of arrays of tables
        self.lines: dict[str, int] = {}
        table = ""
        while self._skip_blank() < len(text):
            if text.startswith("[", self._position):
                table = self._header()
            else:
                self._pair(table)

    def _line(self) -> int:
        return bisect_right(self._starts, self._position)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        assert match is not None
        self._position = match.end()
        return match[0]

    def _skip_blank(self) -> int:
        self._skip(_BLANK)
        return self._position

    def _header(self) -> str:
        """``[table]`` or ``[[array of tables]]``; a part that is an array means its last element."""
        line, brackets = self._line(), 2 if self._text.startswith("[[", self._position) else 1
        self._position += brackets
        *parents, last = split(self._skip(KEY))
        self._position += brackets
        path = ""
        for part in parents:
            path = join(path, part)
            self.lines.setdefault(path, line)
            if path in self._sizes:
                path = join(path, self._sizes[path] - 1)
        path = join(path, last)
        if brackets == 2:
            self.lines.setdefault(path, line)
            self._sizes[path] = self._sizes.get(path, 0) + 1
            path = join(path, self._sizes[path] - 1)
        self.lines[path] = line
        return path

    def _pair(self, table: str) -> None:
        line, path = self._line(), table
        for part in split(self._skip(KEY)):
            path = join(path, part)
            self.lines.setdefault(path, line)
        self._position += len("=")
        self._skip_blank()
        self._value(path)

    def _value(self, path: str) -> None:
        start = self._text[self._position]
        if start in "\"'":
            self._skip(_STRING)
        elif start in "[{":
            self._position += 1
            index = 0
            while self._text[self._skip_blank()] not in "]}":
                if start == "{":
                    self._pair(path)
                else:
                    self.lines[join(path, index)] = self._line()
                    self._value(join(path, index))
                    index += 1
                if self._text[self._skip_blank()] == ",":
                    self._position += 1
            self._position += 1
        else:
            self._skip(_SCALAR)


# --- writing -----------------------------------------------------------------------------------------------------


def to_toml(values: Mapping[str, Any]) -> str:
    """A TOML document of plain values, one line for each option; `tomllib` reads the same values back."""
    return "".join(f"{text}\n" for text, _ in written_lines(values))


def written_lines(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of `to_toml`, each with the dotted key that it sets; ``""`` for headers and blank lines."""
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping) or _is_array_of_tables(value)}
    above = {key: value for key, value in values.items() if key not in tables}
    yield from _pairs(above, "")
    blank = bool(above)
    for key, value in tables.items():
        name = join("", key)
        single = isinstance(value, Mapping)
        for index, table in enumerate([value] if single else value):
            yield from [("", "")] * blank
            yield f"[{name}]" if single else f"[[{name}]]", ""
            yield from _pairs(table, name if single else join(name, index))
            blank = True


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _pairs(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        yield f"{join('', key)} = {literal(value)}", join(path, key)


def literal(value: Any) -> str:
    """A plain value as TOML writes it, on one line."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{join('', key)} = {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(literal, value)) + "]"
    raise TypeError(f"TOML has no value for {value!r}")

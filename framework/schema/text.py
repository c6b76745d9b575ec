"""Keys, names and values as messages write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


def join(path: str, key: str | int) -> str:
    """The dotted key of ``key``, or of the index of an array's element, inside ``path``: quoted where TOML does."""
    name = str(key) if re.fullmatch(r"[A-Za-z0-9_-]+", str(key)) else quote(str(key))
    return f"{path}.{name}" if path else name


def quote(text: str) -> str:
    """``text`` as a basic string of TOML, on one line."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c) or (c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + '"'


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that ``name`` was probably meant to be, or ``""``: however it is capitalised, or shortened."""
    import difflib

    names = {candidate.lower(): candidate for candidate in reversed(list(known))}
    meant = name.lower()
    close = difflib.get_close_matches(meant, names, n=1)
    longer = [key for key in names if len(meant) > 2 and key.startswith(meant)]
    return names[(close or longer)[0]] if close or longer else ""


def show(value: Any) -> str:
    """A value as a message shows it: scalars as TOML writes them, anything larger by its kind."""
    if isinstance(value, str):
        return quote(value if len(value) < 60 else value[:57] + "...")
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    return "a table" if isinstance(value, Mapping) else "an array" if isinstance(value, (list, tuple)) else repr(value)

"""Entry points of the installed distributions, found fast.

`importlib.metadata` takes longer to import than a whole ``framework --help`` may, and parses the metadata of
distributions that are of no interest. Here only ``entry_points.txt`` files are looked at, and name and version
are read for the few distributions that have a wanted group. Which distributions count, and which of two with
one name, is as in `importlib.metadata`: those on ``sys.path``, the first one found.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class EntryPoint(NamedTuple):
    """One line of a distribution's ``entry_points.txt``."""

    group: str
    name: str
    value: Any  #: ``"module"`` or ``"module:attribute"``; the object itself where it is given in process
    distribution: str
    version: str


def entry_points(group: str, path: Iterable[str] | None = None) -> list[EntryPoint]:
    """The entry points in ``group`` and in groups below it (``group.…``), of the distributions on ``path``.

    ``path`` is ``sys.path`` by default. What on it is not a folder (a zip file) is left to `importlib.metadata`.
    """
    distributions: set[str] = set()
    entries: list[EntryPoint] = []
    for place in dict.fromkeys(sys.path if path is None else path):
        for identity, text, metadata in _distributions(place or ".", group):
            if identity not in distributions:
                distributions.add(identity)
                entries += _entries(text, group, {"name": identity, "version": "?"} | _fields(metadata))
    return entries


def normalize(distribution: str) -> str:
    """The one spelling of a distribution's name: ``Framework_RL`` -> ``framework-rl``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _distributions(place: str, group: str) -> Iterator[tuple[str, str, str]]:
    """(normalized name, entry points, metadata) of each distribution; both texts are empty where of no interest."""
    try:
        names = os.listdir(place)
    except NotADirectoryError:
        yield from _distributions_of_archive(place)
        return
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            folder = os.path.join(place, name)
            text = _read(folder, "entry_points.txt")
            wanted = group in text
            metadata = (_read(folder, "METADATA") or _read(folder, "PKG-INFO")) if wanted else ""
            yield normalize(name[: -len(".dist-info")].partition("-")[0]), text if wanted else "", metadata


def _distributions_of_archive(place: str) -> Iterator[tuple[str, str, str]]:
    from importlib.metadata import distributions

    for distribution in distributions(path=[place]):
        metadata = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        name = _fields(metadata).get("name", "unknown")
        yield normalize(name), distribution.read_text("entry_points.txt") or "", metadata


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _fields(metadata: str) -> dict[str, str]:
    lines = (line.partition(":") for line in metadata.partition("\n\n")[0].splitlines())
    return {key.lower(): value.strip() for key, _, value in lines}


def _entries(text: str, wanted: str, fields: dict[str, str]) -> Iterator[EntryPoint]:
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif line and not line.startswith("#") and (group == wanted or group.startswith(wanted + ".")):
            name, _, value = line.partition("=")
            yield EntryPoint(group, name.strip(), value.strip(), fields["name"], fields["version"])

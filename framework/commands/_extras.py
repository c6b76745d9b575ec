"""What is missing of an extra of an installed distribution, as its metadata says."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

DISTRIBUTION = "framework-rl"


def missing(extra: str, distribution: str = DISTRIBUTION) -> list[str]:
    """The requirements of an extra that are not installed; those of extras of what it requires too.

    Of a distribution without metadata, as of sources that were never installed, nothing is known: then it is empty.
    """
    try:
        return sorted(_missing(distribution, extra))
    except PackageNotFoundError:
        return []


def _missing(distribution: str, extra: str) -> Iterator[str]:
    for line in requires(distribution) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        try:
            installed = requirement.specifier.contains(version(requirement.name), prereleases=True)
        except PackageNotFoundError:
            installed = False
        if not installed:
            yield requirement.name
        else:
            for inner in requirement.extras:
                yield from _missing(requirement.name, inner)

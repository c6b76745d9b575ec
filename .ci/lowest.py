"""Prints the lowest versions that pyproject.toml allows, as constraints for pip: ``python .ci/lowest.py pytest``.

Those of all dependencies of the core, but for torch, and of the test tools that are named.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
#: Its oldest builds are several GB, and constraints.txt has the one that all tests run with.
LEFT_OUT = "torch"
_BOUND = re.compile(r"([\w-]+)(?:\[[\w,-]+\])?>=([\w.]+)")


def lowest(tools: Iterable[str] = ()) -> list[str]:
    """``name==version`` of each dependency. Raises ValueError for one without a lower bound, or an unknown tool."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    bounds = _bounds(project["dependencies"])
    bounds.pop(LEFT_OUT)
    of_tools = _bounds(line for line in project["optional-dependencies"]["test"] if not line.startswith("framework-rl"))
    if unknown := set(tools) - of_tools.keys():
        raise ValueError(f"the extra test has no {', '.join(sorted(unknown))}")
    return [f"{name}=={version}" for name, version in (bounds | {tool: of_tools[tool] for tool in tools}).items()]


def _bounds(requirements: Iterable[str]) -> dict[str, str]:
    bounds = {}
    for line in requirements:
        match = _BOUND.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} has no lower bound, or more than that")
        bounds[match[1]] = match[2]
    return bounds


if __name__ == "__main__":
    print(*lowest(sys.argv[1:]), sep="\n")

"""Prints the lowest versions that pyproject.toml allows of all dependencies but torch, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
#: Its oldest builds are several GB, and constraints.txt has the one that all tests run with.
LEFT_OUT = "torch"
_BOUND = re.compile(r"([\w-]+)>=([\w.]+)")


def lowest(requirements: list[str]) -> list[str]:
    """``name==version`` of each requirement but torch. Raises ValueError for one without a lower bound."""
    matches = {line: _BOUND.fullmatch(line) for line in requirements}
    if unbounded := [line for line, match in matches.items() if match is None]:
        raise ValueError(f"no lower bound, or more than that: {', '.join(unbounded)}")
    return [f"{match[1]}=={match[2]}" for match in matches.values() if match and match[1] != LEFT_OUT]


def dependencies() -> list[str]:
    """What is installed with the framework, as pyproject.toml has it."""
    required: list[str] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    return required


if __name__ == "__main__":
    print(*lowest(dependencies()), sep="\n")

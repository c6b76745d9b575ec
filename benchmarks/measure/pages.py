"""The parts of pages that show result files: ``<!-- measured: RESULT, PART -->`` up to ``<!-- end of measured -->``.

RESULT is the name of a file in ``benchmarks/results``, PART one of its texts, left out where it has only one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from measure.results import BENCHMARKS

ROOT = BENCHMARKS.parent
RESULTS = BENCHMARKS / "results"
_PART = re.compile(r"(<!-- measured: ([\w-]+)(?:, ([^>]+))? -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def filled(page: str, results: Path = RESULTS) -> str:
    """A page with its parts filled from the result files; a part whose file does not exist yet stays as it is.

    Raises `KeyError` for a part that is not in the result file.
    """

    def part(match: re.Match[str]) -> str:
        begin, name, part_name, end = match.groups()
        file = results / f"{name}.json"
        if not file.is_file():
            return match[0]
        result = json.loads(file.read_text(encoding="utf-8"))
        return begin + "\n".join(["", *(result["parts"][part_name] if part_name else result["table"]), "", end])

    return _PART.sub(part, page)


def shown(page: str) -> list[str]:
    """The result files that a page shows something of."""
    return [match[2] for match in _PART.finditer(page)]


def pages() -> list[Path]:
    """All pages of the project."""
    paths = [*ROOT.glob("*.md"), *BENCHMARKS.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md")]
    return sorted(paths)


def fill() -> list[Path]:
    """Fill in all pages; gives those that changed."""
    changed = []
    for path in pages():
        page = path.read_text(encoding="utf-8")
        if (current := filled(page)) != page:
            path.write_text(current, encoding="utf-8")
            changed.append(path)
    return changed

"""What pages show of result files: ``<!-- measured: RESULT, PART -->``, and all up to ``<!-- end of measured -->``.

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
    """A page with what the result files say; a part whose file is not there yet stays as it is.

    Raises `KeyError` for a part that a result file has not.
    """

    def part(match: re.Match[str]) -> str:
        begin, name, which, end = match.groups()
        file = results / f"{name}.json"
        if not file.is_file():
            return match[0]
        result = json.loads(file.read_text(encoding="utf-8"))
        return begin + "\n".join(["", *(result["parts"][which] if which else result["table"]), "", end])

    return _PART.sub(part, page)


def shown(page: str) -> list[str]:
    """The result files that a page shows something of."""
    return [match[2] for match in _PART.finditer(page)]


def pages() -> list[Path]:
    """All pages of the project."""
    found = [*ROOT.glob("*.md"), *BENCHMARKS.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md")]
    return sorted(found)


def fill() -> list[Path]:
    """Fill in all pages; gives those that changed."""
    changed = []
    for path in pages():
        page = path.read_text(encoding="utf-8")
        if (current := filled(page)) != page:
            path.write_text(current, encoding="utf-8")
            changed.append(path)
    return changed

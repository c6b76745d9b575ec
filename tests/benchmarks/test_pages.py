"""What pages show of result files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from measure import pages
from measure.results import publish

MACHINE = {"processor": "Abacus 9000", "usable_cores": 3, "busy_before": 0.0}


def shown(name: str, text: str = "") -> str:
    return f"<!-- measured: {name} -->\n{text}<!-- end of measured -->\n"


@pytest.mark.parametrize("page", pages.pages(), ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_pages_say_what_was_measured(page: Path) -> None:
    """Every part that a page shows of a result file is what that file says; each such file is there."""
    text = page.read_text()
    assert pages.filled(text) == text
    for name in pages.shown(text):
        assert (pages.RESULTS / f"{name}.json").is_file()


def test_parts_are_put_between_their_marks(tmp_path: Path) -> None:
    """What was there is replaced, what is around it stays; a file that is not there yet changes nothing."""
    settings = {"settings": {}, "measurements": [], "machine": MACHINE}
    publish("one", "| a |\n| b |", output=tmp_path / "one.json", **settings)
    publish("two", {"left": "L", "far right": "R"}, output=tmp_path / "two.json", **settings)
    page = "".join(["Before.\n", shown("one", "old"), "between\n", shown("two, far right"), shown("three", "kept")])
    left, right = shown("one", "\n| a |\n| b |\n\n"), shown("two, far right", "\nR\n\n")
    expected = "".join(["Before.\n", left, "between\n", right, shown("three", "kept")])
    assert pages.filled(page, tmp_path) == expected == pages.filled(expected, tmp_path)
    assert pages.shown(page) == ["one", "two", "three"]
    assert json.loads((tmp_path / "two.json").read_text())["parts"] == {"left": ["L"], "far right": ["R"]}
    with pytest.raises(KeyError):
        pages.filled(shown("two, middle"), tmp_path)

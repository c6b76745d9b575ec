"""The README as a package index shows it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def index_readme():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.index_readme


def test_an_index_shows_no_broken_link(index_readme):
    """No link leads to a file, no picture is one, and nothing of what is only for the repository is left."""
    text = index_readme(README)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\]\(", prose) == []
    assert "<img" not in prose
    assert "<!--" not in prose
    assert "-->" not in prose
    assert "make test" not in text


def test_an_index_shows_the_rest(index_readme):
    """Every code block is there, every heading but that of the documentation, and the words of links."""
    text = index_readme(README)
    blocks = re.findall(r"^```.*?^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 3
    assert all(block in text for block in blocks)
    headings = re.findall(r"^## .*$", README, re.MULTILINE)
    assert [heading for heading in headings if heading not in text] == ["## Documentation"]
    assert "The tutorial gives it options" in text


def test_links_to_the_web_stay(index_readme):
    """Only those to files become words."""
    text = "See [this](https://example.org/x), [that](docs/index.md#part).\n\n![A picture](a.png)\n\nEnd.\n"
    assert index_readme(text) == "See [this](https://example.org/x), that.\n\nEnd.\n"

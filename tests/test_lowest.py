"""The lowest versions of what is installed with the framework, which `.ci/run` tests."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lowest():
    spec = importlib.util.spec_from_file_location("ci_lowest", ROOT / ".ci" / "lowest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lowest


def test_every_dependency_is_at_its_lowest(lowest):
    """Each but torch, with the bound of pyproject.toml and nothing else; so are the tools that are named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = [line.replace(">=", "==") for line in project["dependencies"] if not line.startswith("torch")]
    assert lowest() == expected
    assert lowest(["pytest"]) == [*expected, "pytest==8.2"]
    with pytest.raises(ValueError, match="the extra test has no pytset"):
        lowest(["pytset"])


def test_the_tested_versions_are_allowed(lowest):
    """What constraints.txt has of these is no older than the bound."""
    exact = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)

    def numbers(version):
        return [int(number) for number in re.findall(r"\d+", version)]

    for line in lowest():
        name, version = line.split("==")
        assert numbers(exact[name]) >= numbers(version), name

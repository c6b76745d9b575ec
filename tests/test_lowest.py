"""The lowest versions of what is installed with the framework, which `.ci/run` tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("ci_lowest", ROOT / ".ci" / "lowest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_is_at_its_lowest(module):
    """Each but torch, with its bound and nothing else; what has no bound, or two, is refused."""
    required = module.dependencies()
    expected = [line.replace(">=", "==") for line in required if not line.startswith("torch>=")]
    assert module.lowest(required) == expected
    assert len(expected) == len(required) - 1
    for wrong in ("numpy", "numpy>=1,<2"):
        with pytest.raises(ValueError, match="no lower bound"):
            module.lowest([wrong])


def test_the_tested_versions_are_allowed(module):
    """What constraints.txt has of these is no older than the bound."""
    exact = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for line in module.lowest(module.dependencies()):
        name, version = line.split("==")
        assert Version(exact[name]) >= Version(version), name

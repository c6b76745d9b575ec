"""How the tests are spread over processes."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay together, and all that compile the research environment, so that it is compiled once."""
    for item in items:
        group = "research" if "research" in item.nodeid else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))

"""What is said where nothing can be compiled."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["numba"] = None
from framework.catalog import default_catalog
from framework.errors import PluginError
research = default_catalog().find("environment", "research")
try:
    research.load()
except PluginError as error:
    print(error)
"""


def test_without_numba_the_extra_is_named() -> None:
    """When the environment is loaded; it is listed all the same."""
    process = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert process.stdout.endswith('research needs the package numba: pip install "framework-rl[fast]"\n')

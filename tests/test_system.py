"""Systems that the framework cannot run on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import framework
from framework.system import UnsupportedSystem, check_system

#: What Windows lacks, taken away before the framework is imported.
WITHOUT = {"os.fork": "del os.fork", "fcntl": "sys.modules['fcntl'] = None"}
SENTENCE = "the framework runs on Linux and macOS, and this system has no {}; on Windows, use it in WSL\n"


@pytest.mark.parametrize("missing", WITHOUT)
@pytest.mark.parametrize("arguments", [["run", "pipeline.toml"], ["--help"]], ids=["run", "help"])
def test_the_command_line_says_where_it_runs(missing, arguments):
    """Where a part of the system is missing, one sentence says so, without a traceback; the exit code is 2."""
    program = f"import os, sys\n{WITHOUT[missing]}\nfrom framework.__main__ import main\nsys.exit(main({arguments}))"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (2, "", SENTENCE.format(missing))


def test_the_library_says_where_it_runs(monkeypatch):
    """So does what a program imports from it first."""
    monkeypatch.delattr(os, "fork")
    with pytest.raises(UnsupportedSystem, match="runs on Linux and macOS"):
        framework.train  # noqa: B018


def test_this_system_will_do():
    """Here nothing is missing."""
    check_system()

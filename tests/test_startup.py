import os
import re
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import pytest

from framework.catalog import default_catalog

EXAMPLE = Path(__file__).parents[1] / "examples" / "cartpole.toml"
COMMANDS = {
    "help": ["--help"],
    "version": ["--version"],
    "plugins": ["plugins"],
    "check": ["check", str(EXAMPLE)],
    "schema": ["schema"],
}
#: The commands that the bound on time is for.
QUICK = ("help", "plugins", "check")
HEAVY = ("torch", "numpy", "gymnasium", "zmq", "rich", "importlib.metadata")


def run(*arguments):
    # With bytecode caches, as in an installation; the first run writes them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def seconds(*arguments):
    """Processor time of a process: these wait for nothing, and what else runs on the machine does not count."""
    before = getrusage(RUSAGE_CHILDREN)
    run(*arguments)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("name", COMMANDS)
def test_light_commands_import_nothing_heavy(name):
    """Listing, help, checking and the schema import neither torch nor anything else that takes long."""
    trace = run("-X", "importtime", "-m", "framework", *COMMANDS[name]).stderr
    imported = set(re.findall(r"\| +([\w.]+)$", trace, re.MULTILINE))
    assert "framework.commands" in imported
    assert imported.isdisjoint(HEAVY)


def test_light_commands_start_fast():
    """Each takes less than ten times as long as Python itself, in the median of several pairs.

    The two of a pair run one after the other, as the speed of a machine changes from one second to the next.
    """
    ratios = {
        name: median(seconds("-m", "framework", *COMMANDS[name]) / seconds("-c", "pass") for _ in range(7))
        for name in QUICK
    }
    assert max(ratios.values()) < 10, ratios


def test_declarations_and_options_import_nothing_heavy():
    """Finding every installed component and reading its options takes no torch and no Gymnasium."""
    program = (
        "import sys; from framework.catalog import default_catalog\n"
        "for component in default_catalog().components(): component.config_class()\n"
        f"print(*(name for name in {HEAVY[:3]} if name in sys.modules))"
    )
    assert len(default_catalog().components()) > 4
    assert run("-c", program).stdout.split() == []

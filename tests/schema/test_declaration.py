import subprocess
import sys

import pytest
from attrs import frozen

from framework.schema import OptionError, check_defaults, option


@frozen
class Config:
    epochs: int = option(4, help="Passes.", ge=1, le=10)


def test_building_the_class_checks_too():
    """In Python, the first wrong option raises OptionError, which names it."""
    with pytest.raises(OptionError, match="epochs: must be at least 1, is 0") as caught:
        Config(epochs=0)
    assert caught.value.options == ("epochs",)


def test_a_default_that_breaks_its_own_rules_is_refused():
    """A default is held against the option's rules before any pipeline leaves the option out."""

    @frozen
    class Broken:
        epochs: int = option(0, help="Passes.", ge=1)

    check_defaults(Config)
    with pytest.raises(ValueError, match="the default of epochs: must be at least 1, is 0"):
        check_defaults(Broken)


def test_importing_it_imports_nothing_heavy():
    """Config modules import the schema, so it must not import numpy, gymnasium or torch."""
    code = "import sys, framework.schema; print({'numpy', 'gymnasium', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

"""What is said of options that other libraries have."""

import re

import pytest

from framework.pipeline.sections import SECTIONS
from framework.schema import options
from framework_dqn.config import DQNConfig
from framework_dqn.hints import HINTS

ELSEWHERE = {"encoder.hidden", "replay.capacity", "replay.n_step"}


@pytest.mark.parametrize("key", HINTS)
def test_hints_name_what_there_is(key: str) -> None:
    """An option of another library is no option here, and what is named in its place is one."""
    assert key not in options(DQNConfig)
    words = re.findall(r"(?:named|give) ([a-z_]+)|it is ([a-z]+\.[a-z_]+)", HINTS[key])
    for option, path in words:
        section, _, name = path.partition(".")
        assert option in options(DQNConfig) or path in ELSEWHERE or name in options(SECTIONS[section])

"""What is said of options that other libraries have."""

from __future__ import annotations

import re

import pytest

from framework.pipeline.sections import SECTIONS
from framework.schema import options
from framework_off_policy.config import SACConfig, TD3Config, TQCConfig
from framework_off_policy.hints import HINTS

ELSEWHERE = {"replay.capacity"}
OPTIONS = options(SACConfig) | options(TD3Config) | options(TQCConfig)


@pytest.mark.parametrize("key", HINTS)
def test_hints_name_what_there_is(key: str) -> None:
    """An option of another library is no option here, and what is named in its place is one."""
    assert key not in OPTIONS
    words = re.findall(r"(?:named|give|and|by) ([a-z]+(?:_[a-z]+)+|critics|quantiles|dropout|temperature)", HINTS[key])
    words = [(word, "") for word in words] + [("", path) for path in re.findall(r"it is ([a-z]+\.[a-z_]+)", HINTS[key])]
    assert words
    for option, path in words:
        section, _, name = path.partition(".")
        assert option in OPTIONS or path in ELSEWHERE or name in options(SECTIONS[section])

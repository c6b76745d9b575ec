"""Ways in which what was learned elsewhere is made use of."""

from __future__ import annotations

from pathlib import Path

import pytest

import framework
from framework.schema import differences
from research_transfer import FROZEN, HOW, LOADED, SCRATCH, TARGETS, row


@pytest.mark.parametrize("target", TARGETS)
def test_ways_differ_in_the_encoder_alone(target: str) -> None:
    """In where it comes from, and in whether it is trained on; never in the curriculum or the number of steps."""
    plain = {
        how: framework.load(chosen.pipeline, chosen.overrides).to_plain()
        for how in HOW
        for chosen in [row(target, how, Path("first"))]
    }
    assert differences(plain[SCRATCH], plain[LOADED]).keys() == {"encoder.init_from"}
    assert differences(plain[LOADED], plain[FROZEN]).keys() == {"encoder.freeze"}

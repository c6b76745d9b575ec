"""Ways in which what was learned elsewhere is made use of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import framework
from framework.pipeline.document import differences
from research_transfer import FROZEN, LOADED, SCRATCH, SMALL, TARGETS, USUAL, row


@pytest.mark.parametrize("target", TARGETS)
def test_ways_differ_in_the_encoder_alone(target: str) -> None:
    """In where it comes from, and in whether it is trained on; never in the curriculum or the number of steps."""
    plain = {how: loaded(target, how, USUAL) for how in (SCRATCH, LOADED, FROZEN)}
    assert differences(plain[SCRATCH], plain[LOADED]).keys() == {"encoder.init_from"}
    assert differences(plain[LOADED], plain[FROZEN]).keys() == {"encoder.freeze"}


@pytest.mark.parametrize("target", TARGETS)
def test_rates_differ_in_themselves_alone(target: str) -> None:
    """The usual one is that of the examples."""
    usual, small = (loaded(target, SCRATCH, rate) for rate in (USUAL, SMALL))
    assert differences(usual, small).keys() == {"algorithm.learning_rate"}
    assert framework.load(TARGETS[target]).to_plain()["algorithm"]["learning_rate"] == USUAL


def loaded(target: str, how: str, rate: float) -> dict[str, Any]:
    """All of the pipeline."""
    chosen = row(target, how, rate, Path("first"))
    return framework.load(chosen.pipeline, chosen.overrides).to_plain()

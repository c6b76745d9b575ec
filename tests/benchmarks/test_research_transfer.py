"""Ways to reuse what was learned elsewhere."""

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
    plain = {start: loaded(target, start, USUAL) for start in (SCRATCH, LOADED, FROZEN)}
    assert differences(plain[SCRATCH], plain[LOADED]).keys() == {"encoder.init_from"}
    assert differences(plain[LOADED], plain[FROZEN]).keys() == {"encoder.freeze"}


@pytest.mark.parametrize("target", TARGETS)
def test_rates_differ_in_themselves_alone(target: str) -> None:
    """The usual one is that of the examples."""
    usual, small = (loaded(target, SCRATCH, rate) for rate in (USUAL, SMALL))
    assert differences(usual, small).keys() == {"algorithm.learning_rate"}
    assert framework.load(TARGETS[target]).to_plain()["algorithm"]["learning_rate"] == USUAL


def loaded(target: str, start: str, rate: float) -> dict[str, Any]:
    """The whole pipeline of a variant as plain values."""
    variant = row(target, start, rate, Path("first"))
    return framework.load(variant.pipeline, variant.overrides).to_plain()

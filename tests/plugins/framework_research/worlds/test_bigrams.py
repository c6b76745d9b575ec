"""Which relations may follow each other."""

from __future__ import annotations

from itertools import product

import pytest

from framework_research.worlds.bigrams import ALLOWED, HELD_OUT, bigram_rule, is_held_out
from framework_research.worlds.world import RELATIONS


@pytest.mark.parametrize(
    ("bigrams", "rules"),
    [
        ("split", {"train": ALLOWED, "validation": ALLOWED, "test": HELD_OUT}),
        ("train", {"train": ALLOWED, "validation": ALLOWED, "test": ALLOWED}),
        ("held out", {"train": HELD_OUT, "validation": HELD_OUT, "test": HELD_OUT}),
    ],
)
def test_pairs_are_the_splits_own_unless_it_is_said(bigrams: str, rules: dict[str, int]) -> None:
    """Only the test split has those that are held out, or every split, or none."""
    assert {split: bigram_rule(split, bigrams) for split in rules} == rules


def test_every_relation_has_pairs_of_both_kinds() -> None:
    """A fifth of all is held out; whichever relation comes first, some may follow it in either split."""
    held_out = {pair: is_held_out(*pair) for pair in product(range(RELATIONS), repeat=2)}
    assert sum(held_out.values()) / len(held_out) == pytest.approx(1 / 5, abs=0.02)
    for first in range(RELATIONS):
        assert {held_out[first, second] for second in range(RELATIONS)} == {True, False}

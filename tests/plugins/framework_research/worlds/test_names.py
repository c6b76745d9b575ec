"""Made-up names: what they are spelled of, and whose they are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from framework_research.config import SPLITS
from framework_research.worlds.names import SYLLABLE_TEXTS, membership_of, names_of, spell, split_of


def test_no_name_belongs_to_two_splits() -> None:
    """Whoever knows all names of one knows none of another."""
    sets = [{spell(name) for name in names_of(split)} for split in SPLITS]
    assert sum(map(len, sets)) == len(set.union(*sets))


def test_names_are_spelled_by_their_syllables() -> None:
    """Of two or three, of which -1 is none; the first letter is large."""
    ba, dor = SYLLABLE_TEXTS.index("ba"), SYLLABLE_TEXTS.index("dor")
    assert spell(np.array([dor, ba, -1])) == "Dorba"
    assert spell(np.array([ba, ba, dor])) == "Babador"


def test_splits_share_all_names_by_tenths() -> None:
    """Every name of two or three syllables belongs to one: seven tenths train, one validates, two test."""
    counts = Counter({split: len(names_of(split)) for split in SPLITS})
    total = len(SYLLABLE_TEXTS) ** 2 + len(SYLLABLE_TEXTS) ** 3
    assert counts.total() == total
    for split, tenths in {"train": 7, "validation": 1, "test": 2}.items():
        assert counts[split] / total == pytest.approx(tenths / 10, abs=0.01)


@pytest.mark.parametrize("split", SPLITS)
def test_membership_is_of_the_names(split: str) -> None:
    """As many as there are names, and for any of them what the hash says."""
    member = membership_of(split)
    assert member.sum() == len(names_of(split))
    rng = np.random.default_rng(0)
    for first, second, third in rng.integers(0, len(SYLLABLE_TEXTS) + 1, (200, 3)):
        if max(first, second) < len(SYLLABLE_TEXTS):
            name = spell(np.array([first, second, third if third < len(SYLLABLE_TEXTS) else -1]))
            assert member[first, second, third] == (split_of(name) == split)

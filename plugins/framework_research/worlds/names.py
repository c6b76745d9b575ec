"""Names of two or three syllables, divided among the splits by a hash of the whole name.

So the splits share their syllables and not one name.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from itertools import product

import numpy as np

from framework_research.worlds.world import SYLLABLES

SYLLABLE_TEXTS = (
    "ba", "do", "fe", "gu", "ka", "lo", "mi", "na", "po", "ra", "si", "ta", "ve", "zu", "bel", "dor", "fin", "gal",
    "kor", "lan", "mer", "nol", "ros", "tin",
)  # fmt: skip
_NONE = -1


def spell(syllables: np.ndarray) -> str:
    """The name that numbers of syllables [3] spell."""
    return "".join(SYLLABLE_TEXTS[number] for number in syllables if number != _NONE).capitalize()


def split_of(name: str) -> str:
    """Which split a name belongs to: seven tenths of all train, one validates, two test."""
    place = int.from_bytes(blake2b(name.lower().encode(), digest_size=8).digest(), "big") % 10
    return "train" if place <= 6 else "validation" if place == 7 else "test"


@cache
def names_of(split: str) -> np.ndarray:
    """All names of a split [names, 3] int16; -1 stands for no syllable."""
    numbers = range(len(SYLLABLE_TEXTS))
    pairs = ((first, second, _NONE) for first, second in product(numbers, repeat=2))
    candidates = [*pairs, *product(numbers, repeat=SYLLABLES)]
    names = np.array([name for name in candidates if split_of(spell(np.array(name))) == split], np.int16)
    names.flags.writeable = False
    return names


@cache
def membership_of(split: str) -> np.ndarray:
    """Whether a name belongs to a split: bool [syllables, syllables, syllables + 1], the last place for no syllable."""
    count = len(SYLLABLE_TEXTS)
    member = np.zeros((count, count, count + 1), bool)
    first, second, third = names_of(split).T
    member[first, second, np.where(third == _NONE, count, third)] = True
    member.flags.writeable = False
    return member

"""Which relations may follow each other in a question: some pairs are kept for the test split."""

from __future__ import annotations

from framework_research.compiled import compiled

#: A question has no pair that is held out, or at least one where it has several hops.
ALLOWED, HELD_OUT = 0, 1


def bigram_rule(split: str, bigrams: str = "split") -> int:
    """`ALLOWED` or `HELD_OUT`: the pairs of the split's own, those of "train", or those that are "held out"."""
    held = split == "test" if bigrams == "split" else bigrams == "held out"
    return HELD_OUT if held else ALLOWED


@compiled
def is_held_out(first, second):
    """Whether a pair of successive relations is kept for the test split."""
    return (7 * first + second) % 5 == 0

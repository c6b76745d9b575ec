"""Where worlds come from. The environment does not know which corpus it is."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Corpus(Protocol):
    """Worlds of one split, and the words for what is in them."""

    def sample(self, worlds: np.ndarray, levels: np.ndarray, seeds: np.ndarray) -> None:
        """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""

    def name(self, world: np.void, entity: int) -> str:
        """What an entity of a world is called."""

    def relation(self, number: int) -> str:
        """What a relation is called."""


def make_corpus(name: str, split: str, bigrams: str = "split") -> Corpus:
    """The corpus ``synthetic`` or ``factbook``. Raises `PluginError` where the packages of the latter are missing."""
    if name == "factbook":
        from framework_research.worlds.factbook.corpus import Factbook

        return Factbook(split, bigrams)
    from framework_research.worlds.synthetic import Synthetic

    return Synthetic(split, bigrams)

"""How often one and the same answer is right: ``python -m framework_research.policies.majority CORPUS`` prints it."""

from __future__ import annotations

import sys

import numpy as np

from framework_research.config import CORPORA, SPLITS
from framework_research.worlds.corpus import Corpus, make_corpus
from framework_research.worlds.world import WORLD

_LEVELS, _WORLDS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0), 1000


def majority(corpus: Corpus, level: float, count: int) -> tuple[str, float]:
    """Who is the answer most often in ``count`` worlds, and to what share of all questions."""
    worlds = np.zeros(count, WORLD)
    corpus.sample(worlds, np.full(count, level), np.arange(count, dtype=np.uint64))
    answers = [
        corpus.name(world, int(world["chain"][question, world["hops"][question]]))
        for world in worlds
        for question in range(world["questions"])
    ]
    names, counts = np.unique(answers, return_counts=True)
    return str(names[counts.argmax()]), float(counts.max() / len(answers))


def main(name: str) -> None:
    """Print it for every split of a corpus, at several levels."""
    for split in SPLITS:
        corpus = make_corpus(name, split)
        for level in _LEVELS:
            answer, share = majority(corpus, level, _WORLDS)
            print(f"{split:10}  {level:.1f}  {share:.3f}  {answer}")


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in CORPORA]:
        sys.exit(f"usage: python -m framework_research.policies.majority {'|'.join(CORPORA)}")
    main(sys.argv[1])

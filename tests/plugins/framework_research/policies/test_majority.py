"""What the most frequent answer is worth."""

from __future__ import annotations

from collections import Counter

import pytest
from researching import sample_worlds

from framework_research.config import SPLITS
from framework_research.policies.majority import main, majority
from framework_research.worlds.corpus import make_corpus


def test_the_majority_is_printed(capsys):
    """For every split, with the answer's name."""
    main("synthetic")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {row[0] for row in rows} == set(SPLITS)
    assert all(float(row[2]) < 0.05 for row in rows)


@pytest.mark.parametrize("level", [0.0, 0.8])
def test_the_majority_is_the_most_frequent_answer(level: float) -> None:
    """Counted over all questions of as many worlds, by name."""
    corpus = make_corpus("synthetic", "train")
    answers = Counter(
        corpus.name(world, int(world["chain"][question][world["hops"][question]]))
        for world in sample_worlds(corpus, level, 300)
        for question in range(world["questions"])
    )
    answer, share = majority(corpus, level, 300)
    assert answers[answer] == max(answers.values())
    assert share == pytest.approx(answers[answer] / answers.total())

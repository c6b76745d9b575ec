"""Worlds of real facts: countries, their partners in trade and their neighbours, and bars of real numbers.

What is held out: countries are divided among the splits by their names, as made-up names are, and a fact belongs to
the split of its subject. A split's worlds state, show and ask only facts of its own, so every document that a question
has to be read in is about a country of the split, and so is who it starts with. With some two hundred countries the
*objects* are of any split: a country of another one may be an answer, and has a document, which says nothing of its
own. Populations are facts about those whose bars they are, so these are of the split, too.

What is popular: a few countries are partners of nearly all. They are taken for answers less often, such that the most
frequent one is some thirtieth of all (`framework_research.policies.majority` measures it).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from framework_research.worlds.factbook.chains import Book, sample
from framework_research.worlds.factbook.codes import codes_of
from framework_research.worlds.factbook.countries import RELATION_TEXTS, countries
from framework_research.worlds.generation import pairs_of
from framework_research.worlds.names import split_of
from framework_research.worlds.world import WORLD

#: The most frequent country is to be so much of those that chains pass, and of the answers.
_MOST = 0.03
_ALIKE = 3  #: how many countries may be a twin
#: Where popular answers are looked for: about so many questions of each level, so often, from this seed on.
_LEVELS, _QUESTIONS, _ROUNDS, _SEED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0), 1200, 4, 2**63


class Factbook:
    """The corpus of real facts. Raises `PluginError` where the packages that hold them are missing.

    With ``exchanged``, a seed, each country looks like another one: whoever knows them by their looks is misled.
    """

    def __init__(self, split: str, bigrams: str = "split", exchanged: int | None = None):
        self._book, self._names, self._bigrams = book(split), countries().names, pairs_of(split, bigrams)
        if exchanged is not None:
            self._book = self._book._replace(codes=np.random.default_rng(exchanged).permutation(self._book.codes))

    def sample(self, worlds: np.ndarray, levels: np.ndarray, seeds: np.ndarray) -> None:
        """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""
        sample(worlds, levels, seeds, self._book, self._bigrams)

    def name(self, world: np.void, entity: int) -> str:
        """The country's name. Worlds hold its number in the place of the first syllable."""
        return self._names[world["name"][entity, 0]]

    def relation(self, number: int) -> str:
        """What a relation is called."""
        return RELATION_TEXTS[number]


@cache
def book(split: str) -> Book:
    """The tables of a split."""
    every = countries()
    codes = codes_of(every.leads)
    belongs = np.array([split_of(name) == split for name in every.names])
    own = np.flatnonzero(belongs)
    facts = np.where(belongs[:, None], every.facts, -1).astype(np.int16)
    similar = codes @ codes[own].T - 99.0 * (np.arange(len(codes))[:, None] == own)
    found = Book(
        own=own[np.argsort(-every.people[own], kind="stable")],
        belongs=belongs,
        facts=facts,
        partners=np.where(belongs[:, None], every.partners, -1).astype(np.int16),
        shares=every.shares,
        people=every.people,
        passed=_passed(facts[(facts >= 0) & belongs[facts]], len(codes)),
        taken=np.ones(len(codes)),
        codes=codes,
        alike=own[np.argsort(-similar, axis=1, kind="stable")[:, :_ALIKE]],
    )
    return _without_favourites(found, split)


def _passed(objects: np.ndarray, count: int) -> np.ndarray:
    """Probabilities [count] such that none is more than `_MOST` of the ``objects`` that are passed with them.

    Or, where these are too few for that, such that all are equally frequent.
    """
    often = np.bincount(objects, minlength=count)
    limits = np.arange(1, often.max() + 1)
    limit = limits[limits <= _MOST * np.minimum(often, limits[:, None]).sum(1)].max(initial=1)
    passed: np.ndarray = np.minimum(1.0, limit / np.maximum(often, 1))
    return passed


def _without_favourites(found: Book, split: str) -> Book:
    """Take answers more rarely that are too frequent at some level, until there are none."""
    for _ in range(_ROUNDS):
        shares = np.zeros(len(found.taken))
        for level in _LEVELS:
            worlds = np.zeros(round(_QUESTIONS / (1 + 6 * max(0.0, level - 0.5))), WORLD)
            seeds = np.arange(_SEED, _SEED + len(worlds), dtype=np.uint64)
            sample(worlds, np.full(len(worlds), level), seeds, found, pairs_of(split))
            shares = np.maximum(shares, _shares(worlds, len(shares)))
        if shares.max() <= _MOST:
            break
        found = found._replace(taken=found.taken * np.minimum(1.0, _MOST / np.maximum(shares, _MOST)))
    return found


def _shares(worlds: np.ndarray, count: int) -> np.ndarray:
    """To what share of all questions each country is the answer."""
    world, question = np.nonzero(worlds["hops"])
    answers = worlds["chain"][world, question, worlds["hops"][world, question]]
    return np.bincount(worlds["name"][world, answers, 0], minlength=count) / len(answers)

"""The corpus of real facts: countries, their partners in trade and their neighbours, and bars of real numbers.

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

from framework_research.worlds.bigrams import bigram_rule
from framework_research.worlds.factbook.codes import codes_of
from framework_research.worlds.factbook.countries import RELATION_TEXTS, load_countries
from framework_research.worlds.factbook.sampling import generate_worlds
from framework_research.worlds.factbook.tables import SplitTables
from framework_research.worlds.names import split_of
from framework_research.worlds.world import WORLD

#: The most frequent country is to be so much of those that chains pass, and of the answers.
_MAX_SHARE = 0.03
_LOOKALIKES = 3  #: how many countries may be a twin
#: Where popular answers are looked for: about so many questions of each level, so often, from this seed on.
_LEVELS, _QUESTIONS, _ROUNDS, _SEED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0), 1200, 4, 2**63


class Factbook:
    """The corpus of real facts. Raises `PluginError` where the packages that hold them are missing.

    With ``exchanged``, a seed, each country looks like another one: whoever knows them by their looks is misled.
    """

    def __init__(self, split: str, bigrams: str = "split", exchanged: int | None = None):
        self._tables, self._names = tables_of(split), load_countries().names
        self._bigrams = bigram_rule(split, bigrams)
        if exchanged is not None:
            codes = np.random.default_rng(exchanged).permutation(self._tables.codes)
            self._tables = self._tables._replace(codes=codes)

    def sample(self, worlds: np.ndarray, levels: np.ndarray, seeds: np.ndarray) -> None:
        """Fill ``worlds`` [N]; equal levels [N] and seeds [N] uint64 give equal worlds, byte for byte."""
        generate_worlds(worlds, levels, seeds, self._tables, self._bigrams)

    def name(self, world: np.void, entity: int) -> str:
        """The country's name. Worlds hold its number in the place of the first syllable."""
        return self._names[world["name"][entity, 0]]

    def relation(self, number: int) -> str:
        """What a relation is called."""
        return RELATION_TEXTS[number]


@cache
def tables_of(split: str) -> SplitTables:
    """The tables of a split."""
    countries = load_countries()
    codes = codes_of(countries.descriptions)
    in_split = np.array([split_of(name) == split for name in countries.names])
    members = np.flatnonzero(in_split)
    facts = np.where(in_split[:, None], countries.facts, -1).astype(np.int16)
    similarities = codes @ codes[members].T - 99.0 * (np.arange(len(codes))[:, None] == members)
    tables = SplitTables(
        countries=members[np.argsort(-countries.population[members], kind="stable")],
        in_split=in_split,
        facts=facts,
        partners=np.where(in_split[:, None], countries.partners, -1).astype(np.int16),
        shares=countries.shares,
        population=countries.population,
        passed=_pass_probabilities(facts[(facts >= 0) & in_split[facts]], len(codes)),
        accepted=np.ones(len(codes)),
        codes=codes,
        lookalikes=members[np.argsort(-similarities, axis=1, kind="stable")[:, :_LOOKALIKES]],
    )
    return _without_favourites(tables, split)


def _pass_probabilities(objects: np.ndarray, count: int) -> np.ndarray:
    """Probabilities [count] such that none is more than `_MAX_SHARE` of the ``objects`` that are passed with them.

    Or, where these are too few for that, such that all are equally frequent.
    """
    frequencies = np.bincount(objects, minlength=count)
    limits = np.arange(1, frequencies.max() + 1)
    fitting = limits[limits <= _MAX_SHARE * np.minimum(frequencies, limits[:, None]).sum(1)]
    probabilities: np.ndarray = np.minimum(1.0, fitting.max(initial=1) / np.maximum(frequencies, 1))
    return probabilities


def _without_favourites(tables: SplitTables, split: str) -> SplitTables:
    """Take answers more rarely that are too frequent at some level, until there are none."""
    for _ in range(_ROUNDS):
        shares = np.zeros(len(tables.accepted))
        for level in _LEVELS:
            worlds = np.zeros(round(_QUESTIONS / (1 + 6 * max(0.0, level - 0.5))), WORLD)
            seeds = np.arange(_SEED, _SEED + len(worlds), dtype=np.uint64)
            generate_worlds(worlds, np.full(len(worlds), level), seeds, tables, bigram_rule(split))
            shares = np.maximum(shares, _answer_shares(worlds, len(shares)))
        if shares.max() <= _MAX_SHARE:
            break
        rarer = np.minimum(1.0, _MAX_SHARE / np.maximum(shares, _MAX_SHARE))
        tables = tables._replace(accepted=tables.accepted * rarer)
    return tables


def _answer_shares(worlds: np.ndarray, count: int) -> np.ndarray:
    """To what share of all questions each country is the answer [count]."""
    world, question = np.nonzero(worlds["hops"])
    answers = worlds["chain"][world, question, worlds["hops"][world, question]]
    return np.bincount(worlds["name"][world, answers, 0], minlength=count) / len(answers)

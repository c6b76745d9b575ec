"""The fewest steps that succeed: taken, and not beaten by anything that is legal."""

from __future__ import annotations

import numpy as np
import pytest
from researching import episode

from framework_research import episodes as desks
from framework_research.browser import rules
from framework_research.browser.rules import BROWSER
from framework_research.browser.shortest import efficiency, oracle, oracle_steps
from framework_research.environment import ResearchEnv
from framework_research.policies import experts
from framework_research.vector import ResearchVectorEnv
from framework_research.worlds.synthetic import world


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("level", "seeds"), [(0.0, 20), (0.15, 30), (0.3, 30), (0.5, 20), (0.7, 6), (1.0, 2)])
def test_the_oracle_succeeds(level: float, seeds: int, split: str) -> None:
    """Everywhere, with legal actions, in exactly as many steps as it says, and so as directly as can be."""
    environment = ResearchEnv(task_complexity=level, split=split, observation_mode="state")
    for seed in range(seeds):
        actions = oracle(world(level, seed, split))
        assert len(actions) == oracle_steps(world(level, seed, split))
        _, info = environment.reset(seed=seed)
        for action in actions:
            assert info["action_mask"][action]
            assert "metrics" not in info
            _, _, terminated, _, info = environment.step(action)
        assert terminated
        assert info["success"] is True
        assert info["metrics"] == {"efficiency": 1.0}


@pytest.mark.parametrize(("level", "seeds"), [(0.0, 20), (0.3, 30), (0.5, 20), (0.8, 3)])
def test_who_does_not_know_the_world_takes_no_fewer_steps(level: float, seeds: int) -> None:
    """And the efficiency of an episode is the share of its steps that an oracle would have needed."""
    environment = ResearchEnv(task_complexity=level, observation_mode="state")
    more = 0
    for seed in range(seeds):
        rewards, info = episode(environment, experts.expert, seed)
        fewest = oracle_steps(world(level, seed))
        assert info["success"]
        assert fewest <= len(rewards)
        assert info["metrics"]["efficiency"] == pytest.approx(fewest / len(rewards))
        more += fewest < len(rewards)
    assert (more > 0) == (level > 0)


@pytest.mark.parametrize("policy", [experts.random_legal, experts.blind_expert])
def test_episodes_that_fail_are_not_efficient(policy) -> None:
    """Nor are those that were cut short: their efficiency is 0."""
    for options in ({"task_complexity": 0.8}, {"task_complexity": 0.3, "max_steps": 3}):
        _, info = episode(ResearchEnv(observation_mode="state", **options), policy, 1)
        assert not info["success"]
        assert info["metrics"] == {"efficiency": 0.0}


def test_efficiencies_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the step in which an episode ends; those that wait for a reset keep theirs."""
    counted = np.zeros(2, int)

    def count(worlds: np.ndarray, browsers: np.ndarray, wanted: np.ndarray, found: np.ndarray) -> None:
        counted[wanted] += 1
        efficiency(worlds, browsers, wanted, found)

    monkeypatch.setattr(desks, "efficiency", count)
    vector = ResearchVectorEnv(2, task_complexity=0.3, observation_mode="state")
    vector.reset(seed=0)
    actions = oracle(vector.desks.worlds[0])
    for action in [*actions, *actions]:
        *_, infos = vector.step(np.array([action, rules.SEARCH_QUESTION]))
    np.testing.assert_array_equal(infos["metrics"]["efficiency"], [1.0, 0.0])
    np.testing.assert_array_equal(counted, [1, 0])


def test_worlds_without_their_evidence() -> None:
    """There nobody can succeed, which is said and not searched for without end."""
    one = world(0.3, 1)
    one["relation"][one["chain"][0, 0]] = -1
    one["subject"][one["subject"] == one["chain"][0, 0]] = -1
    one["figure_page"][:] = -1
    with pytest.raises(ValueError, match="some evidence stands nowhere"):
        oracle_steps(one)


def shorter(one: np.void, steps: int) -> bool:
    """Whether any legal actions, fewer than ``steps``, succeed. Leaves out only states with more left to note."""
    first, mask = np.zeros(1, BROWSER)[0], np.zeros(rules.ACTIONS, bool)
    rules.begin(first)
    wave, seen = [first], set()
    for taken in range(steps - 1):
        following = []
        for browser in wave:
            rules.legal(one, browser, mask)
            for action in np.flatnonzero(mask):
                after = browser.copy()
                rules.act(one, after, action)
                if after["succeeded"] == one["questions"]:
                    return True
                if after["question"] or after.tobytes() in seen:
                    continue
                seen.add(after.tobytes())
                if taken + 1 + one["hops"][0] - rules.evidence(one, after) + 1 < steps:
                    following.append(after)
        wave = following
    return False


@pytest.mark.parametrize(("level", "seeds"), [(0.0, 10), (0.1, 4), (0.2, 3)])
def test_nobody_succeeds_in_fewer_steps(level: float, seeds: int) -> None:
    """A search through all that is legal, going back, dropping and noting anything too, finds no shorter success.

    It finds one that is as short.
    """
    tried = 0
    for seed in range(100):
        one = world(level, seed)
        steps = oracle_steps(one)
        if steps > 7 or (level and one["hops"][0] < 2):
            continue
        assert not shorter(one, steps)
        assert shorter(one, steps + 1)
        tried += 1
        if tried == seeds:
            return
    pytest.fail("too few small worlds")

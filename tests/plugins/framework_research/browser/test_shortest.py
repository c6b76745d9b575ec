"""The fewest steps that succeed: taken, and not beaten by anything that is legal."""

from __future__ import annotations

import numpy as np
import pytest
from researching import episode, synthetic_world

from framework_research.browser import actions
from framework_research.browser.rewards import count_evidence
from framework_research.browser.rules import apply_action, fill_legal_mask
from framework_research.browser.shortest import fewest_steps, shortest_episode
from framework_research.browser.state import BROWSER, reset_browser
from framework_research.environment import ResearchEnv
from framework_research.policies import experts


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("level", "seeds"), [(0.0, 20), (0.15, 30), (0.3, 30), (0.5, 20), (0.7, 6), (1.0, 2)])
def test_the_shortest_episode_succeeds(level: float, seeds: int, split: str) -> None:
    """Everywhere, with legal actions, in exactly as many steps as it says, and so as directly as can be."""
    environment = ResearchEnv(task_complexity=level, split=split, observation_mode="state")
    for seed in range(seeds):
        world = synthetic_world(level, seed, split)
        shortest = shortest_episode(world)
        assert len(shortest) == fewest_steps(world)
        _, info = environment.reset(seed=seed)
        for action in shortest:
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
        fewest = fewest_steps(synthetic_world(level, seed))
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


def test_worlds_without_their_evidence() -> None:
    """There nobody can succeed, which is said and not searched for without end."""
    world = synthetic_world(0.3, 1)
    world["relation"][world["chain"][0, 0]] = -1
    world["subject"][world["subject"] == world["chain"][0, 0]] = -1
    world["figure_page"][:] = -1
    with pytest.raises(ValueError, match="some evidence stands nowhere"):
        fewest_steps(world)


def is_beaten(world: np.void, steps: int) -> bool:
    """Whether any legal actions, fewer than ``steps``, succeed. Leaves out only states with more left to note."""
    first, mask = np.zeros(1, BROWSER)[0], np.zeros(actions.ACTIONS, bool)
    reset_browser(first)
    wave, reached = [first], set()
    for depth in range(steps - 1):
        following = []
        for browser in wave:
            fill_legal_mask(world, browser, mask)
            for action in np.flatnonzero(mask):
                after = browser.copy()
                apply_action(world, after, action)
                if after["succeeded"] == world["questions"]:
                    return True
                if after["question"] or after.tobytes() in reached:
                    continue
                reached.add(after.tobytes())
                if depth + 1 + world["hops"][0] - count_evidence(world, after) + 1 < steps:
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
        world = synthetic_world(level, seed)
        steps = fewest_steps(world)
        if steps > 7 or (level and world["hops"][0] < 2):
            continue
        assert not is_beaten(world, steps)
        assert is_beaten(world, steps + 1)
        tried += 1
        if tried == seeds:
            return
    pytest.fail("too few small worlds")

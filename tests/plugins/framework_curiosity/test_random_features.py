"""Curiosity in fixed random features."""

from __future__ import annotations

import copy

import numpy as np
import torch
from attrs import evolve
from gymnasium.spaces import Box
from small_ppo import make_context
from walks import batch_of

from framework_curiosity.config import RandomFeaturesConfig
from framework_curiosity.random_features import RandomFeatures
from framework_curiosity.steps import steps_of


def around(center, rng):
    """Observations near a point."""
    observations = rng.normal(size=(33, 8, 4)) * 0.3 + center
    return batch_of(torch.from_numpy(observations.astype(np.float32)), torch.zeros(32, 8, dtype=torch.int64))


def make(**options):
    space = Box(-np.inf, np.inf, (4,), np.float32)
    return RandomFeatures(RandomFeaturesConfig(**options), make_context(space, steps=32, num_envs=8))


def test_the_reward_is_the_squared_distance_of_the_features():
    """eta times the sum of squares of phi(s) - phi(mu(s))."""
    bonus = make(eta=0.25)
    batch = around(0.0, np.random.default_rng(0))
    reward = bonus.reward(batch)
    network, steps = bonus.network, evolve(steps_of(batch), see=bonus._whitening)
    with torch.no_grad():
        state = network.state(steps.following)
        expected = 0.25 * ((network.phi(state) - network.phi(network.mu(state))) ** 2).sum(-1)
    torch.testing.assert_close(reward.flatten(), expected)


def test_only_the_reproduction_is_trained():
    """States and features stay bit for bit; every weight of mu moves."""
    bonus = make()
    before = copy.deepcopy(bonus.state_dict()["network"])
    for seed in range(3):
        batch = around(0.0, np.random.default_rng(seed))
        bonus.reward(batch)
        bonus.update(batch)
    after = bonus.state_dict()["network"]
    moved = {name for name, x in before.items() if not torch.equal(x, after[name])}
    assert moved == {name for name in before if name.startswith("mu.")}


def test_what_is_new_is_worth_more():
    """After training in one place, another gives more than three times the reward."""
    rng = np.random.default_rng(0)
    bonus = make(learning_rate=1e-3)
    familiar, new = np.array([1, -1, 1, 1]), np.array([-1, 1, -1, 1])
    bonus.reward(around(new, rng))
    before = bonus.reward(around(new, rng)).mean() / bonus.reward(around(familiar, rng)).mean()
    for _ in range(150):
        bonus.update(around(familiar, rng))
    after = bonus.reward(around(new, rng)).mean() / bonus.reward(around(familiar, rng)).mean()
    assert before < 2
    assert after > 3

"""Random network distillation."""

from __future__ import annotations

import copy

import numpy as np
import torch
from gymnasium.spaces import Box
from small_ppo import make_context, same
from torch.nn import functional
from walks import batch_of

from framework_curiosity.config import RNDConfig
from framework_curiosity.rnd import RND

SPACE = Box(-np.inf, np.inf, (4,), np.float32)


def around(center, rng):
    """Observations near a point."""
    observations = rng.normal(size=(33, 8, 4)) * 0.3 + center
    return batch_of(torch.from_numpy(observations.astype(np.float32)), torch.zeros(32, 8, dtype=torch.int64))


def make(**options):
    return RND(RNDConfig(**options), make_context(SPACE, steps=32, num_envs=8))


def test_the_reward_is_the_mean_squared_error_of_the_prediction():
    """Computed from the weights by hand, for the observation that each step led to."""
    bonus = make(normalize_rewards=False)
    batch = around(2.0, np.random.default_rng(0))
    reward = bonus.reward(batch)
    observations = batch.observations["observation"][1:].flatten(0, 1)
    observations = ((observations - observations.mean(0)) / observations.std(0, correction=0)).clamp(-5, 5)
    weights = bonus.state_dict()["network"]

    def layer(name, x):
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def body(name):
        hidden = torch.tanh(layer(f"{name}.body.encoder.layers.layers.0", observations))
        return torch.tanh(layer(f"{name}.body.encoder.layers.layers.1", hidden))

    target = layer("target.head.1.layers.0", body("target"))
    hidden = torch.relu(layer("predictor.head.0.layers.0", body("predictor")))
    expected = (layer("predictor.head.1.layers.0", hidden) - target).square().mean(-1)
    torch.testing.assert_close(reward.flatten(), expected, rtol=1e-4, atol=1e-5)


def test_what_is_new_is_worth_more():
    """After training in one place, another gives more than five times the reward."""
    rng = np.random.default_rng(0)
    bonus = make(normalize_rewards=False, learning_rate=1e-3)
    familiar, new = np.array([1, -1, 1, 1]), np.array([-1, 1, -1, 1])
    bonus.reward(around(new, rng))
    before = bonus.reward(around(new, rng)).mean() / bonus.reward(around(familiar, rng)).mean()
    for _ in range(150):
        bonus.update(around(familiar, rng))
    after = bonus.reward(around(new, rng)).mean() / bonus.reward(around(familiar, rng)).mean()
    assert before < 2
    assert after > 5


def test_the_target_never_changes():
    """Not one bit of it, while all of the predictor's weights do."""
    bonus = make()
    before = copy.deepcopy(bonus.state_dict()["network"])
    for seed in range(3):
        batch = around(0.0, np.random.default_rng(seed))
        bonus.reward(batch)
        bonus.update(batch)
    after = bonus.state_dict()["network"]
    unchanged = {name for name, x in before.items() if torch.equal(x, after[name])}
    assert unchanged == {name for name in before if name.startswith("target.")}


def test_nothing_new_at_all_is_finite():
    """Where every observation is the same, rewards have no variance, and stay finite."""
    still = batch_of(torch.full((33, 8, 4), 7.0), torch.zeros(32, 8, dtype=torch.int64))
    bonus = make(gamma=0.0)
    for _ in range(3):
        assert bonus.reward(still).isfinite().all()
        assert np.isfinite(bonus.update(still)["loss"])


def test_episodes_do_not_cut_it_unless_told_to():
    """The stream is not episodic by default."""
    assert not make().episodic
    assert make(episodic=True).episodic
    assert same(make().state_dict(), make(episodic=True).state_dict())

"""Rewards that hardly vary, as PPO learns from them."""

from __future__ import annotations

import pytest
import torch
from small_ppo import collect, make_context, ppo

from framework_ppo.metrics import explained_variance


def paid(algorithm, context, amount, *, episodes=True):
    """A batch whose every step, or whose last step alone, pays ``amount``; each step is an episode."""
    batch = collect(algorithm, context)
    batch.rewards = torch.full_like(batch.rewards, amount if episodes else 0.0)
    batch.rewards[-1, 0] = amount
    batch.terminated = torch.ones_like(batch.terminated)
    return batch


def test_equal_rewards_are_not_magnified():
    """One-step episodes that all pay 1: nothing varies, so the scale is 1."""
    context = make_context()
    algorithm = ppo(context, normalize_rewards=True)
    assert algorithm._estimate_targets._rewards(paid(algorithm, context, 1.0)).unique().tolist() == [1.0]


@pytest.mark.parametrize(("options", "bound"), [({}, 10.0), ({"reward_clip": 25.0}, 25.0)])
@pytest.mark.parametrize("zeros", [1, 20, 200])
def test_a_rare_reward_is_bounded(options, bound, zeros):
    """One reward after many batches without is 10 at most, or what the options say, however long it took."""
    context = make_context()
    algorithm = ppo(context, normalize_rewards=True, **options)
    unpaid, rewarded = paid(algorithm, context, 0.0), paid(algorithm, context, 1.0, episodes=False)
    for _ in range(zeros):
        algorithm._estimate_targets._rewards(unpaid)
    assert algorithm._estimate_targets._rewards(rewarded).max() <= bound


@pytest.mark.parametrize("value", [1e-3, 1.0, -777.7])
def test_equal_returns_explain_nothing(value):
    """The explained variance is 0 where all returns are equal but for rounding."""
    returns = torch.full((1000,), value)
    assert explained_variance(torch.randn(1000), returns) == 0
    returns[::7] = torch.nextafter(returns[::7], torch.tensor(torch.inf))
    assert explained_variance(torch.randn(1000), returns) == 0
    returns[0] += 1.0
    assert explained_variance(returns.clone(), returns) == 1

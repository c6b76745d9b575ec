"""How DQN acts: greedily, and now and then at random."""

from __future__ import annotations

import pytest
import torch
from gymnasium.spaces import Discrete
from small_dqn import dqn, dqn_context
from small_ppo import observations

from framework.schema import OptionError
from framework_dqn.config import DQNConfig

NONE = torch.zeros(0, dtype=torch.bool)


def act(policy, rows, *, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        actions, extras, memory = policy.act(rows, {}, NONE, generator, **options)
    assert extras == memory == {}
    return actions


@pytest.fixture
def made():
    return dqn_context(action=Discrete(4, start=-2))


def test_greedy_actions_are_the_best(made):
    """Deterministic acting takes the action of the greatest value, numbered from the space's start, at any epsilon."""
    policy = dqn(made).policy
    rows = observations(made.observation_space, 50)
    with torch.no_grad():
        best = policy.network.values(rows).argmax(-1) - 2
    assert policy.epsilon == 1.0
    assert torch.equal(act(policy, rows, deterministic=True), best)
    policy.epsilon.fill_(0.0)
    assert torch.equal(act(policy, rows), best)
    assert best.unique().numel() > 1


def test_random_actions_are_as_frequent_as_epsilon_says(made):
    """A share epsilon of the actions is uniform over all of them; equal generators make equal choices."""
    policy = dqn(made).policy
    rows = {"observation": observations(made.observation_space, 1)["observation"].expand(40_000, 3)}
    policy.epsilon.fill_(0.4)
    best = act(policy, rows, deterministic=True)[0]
    actions = act(policy, rows)
    shares = torch.bincount(actions + 2, minlength=4) / len(actions)
    expected = torch.full((4,), 0.1)
    expected[best + 2] += 0.6
    torch.testing.assert_close(shares, expected, atol=0.01, rtol=0)
    assert torch.equal(actions, act(policy, rows))
    assert not torch.equal(actions, act(policy, rows, seed=1))


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_illegal_actions_are_never_taken(made, epsilon):
    """Neither greedily nor at random; random ones are uniform over the legal ones."""
    policy = dqn(made).policy
    rows = {"observation": observations(made.observation_space, 1)["observation"].expand(20_000, 3)}
    legal = torch.tensor([True, False, True, False]).expand(20_000, 4).clone()
    legal[::2] = torch.tensor([False, True, True, True])
    policy.epsilon.fill_(epsilon)
    for deterministic in (False, True):
        actions = act(policy, rows, action_mask=legal, deterministic=deterministic)
        assert legal[torch.arange(len(actions)), actions + 2].all()
    if epsilon == 1.0:
        shares = torch.bincount(act(policy, rows, action_mask=legal)[::2] + 2, minlength=4) / 10_000
        torch.testing.assert_close(shares, torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]), atol=0.02, rtol=0)


def test_environments_of_a_shard_explore_differently(made):
    """With the ladder of Ape-X, environment i of N explores with probability epsilon ** (1 + 7 * i / (N - 1))."""
    policy = dqn(made, epsilon_ladder=7.0).policy
    policy.epsilon.fill_(0.4)
    torch.testing.assert_close(policy.exploration(8), 0.4 ** torch.arange(1.0, 9.0))
    assert policy.exploration(1).item() == pytest.approx(0.4)
    rows = {"observation": observations(made.observation_space, 1)["observation"].expand(8, 3)}
    best = act(policy, rows, deterministic=True)[0]
    moved = torch.stack([act(policy, rows, seed=seed) != best for seed in range(1000)]).float().mean(0)
    torch.testing.assert_close(moved, policy.exploration(8) * 0.75, atol=0.05, rtol=0)


def test_without_a_ladder_all_explore_alike(made):
    """Every environment has epsilon itself."""
    policy = dqn(made).policy
    policy.epsilon.fill_(0.3)
    assert policy.exploration(5).tolist() == pytest.approx([0.3] * 5)


def test_epsilon_travels_with_the_weights(made):
    """It is part of the policy's state, which the target network is not."""
    state = dqn(made).policy.state_dict()
    assert "epsilon" in state
    assert not any("target" in name for name in state)


def test_epsilon_cannot_rise():
    """An end above the start is a mistake."""
    with pytest.raises(OptionError, match="must not exceed epsilon_start"):
        DQNConfig(epsilon_start=0.1, epsilon_end=0.2)

"""How PQN acts: greedily, and now and then at random."""

from __future__ import annotations

import pytest
import torch
from gymnasium.spaces import Discrete
from small_ppo import make_context, observations
from small_pqn import pqn, remembering

from framework.schema import OptionError
from framework_pqn.config import PQNConfig


def act(policy, rows, *, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    count = len(rows["observation"])
    with torch.inference_mode():
        actions, extras, _ = policy.act(rows, {}, torch.ones(count, dtype=torch.bool), generator, **options)
    assert extras == {}
    return actions


@pytest.fixture
def made():
    return make_context(action=Discrete(4, start=-2))


def test_greedy_actions_are_the_best(made):
    """Deterministic acting takes the action of the greatest value, numbered from the space's start, at any epsilon."""
    policy = pqn(made).policy
    rows = observations(made.observation_space, 50)
    with torch.no_grad():
        steps = {name: x[None] for name, x in rows.items()}
        best = policy.network(steps, {}, torch.ones(1, 50, dtype=torch.bool)).values[0].argmax(-1) - 2
    assert policy.epsilon == 1.0
    assert torch.equal(act(policy, rows, deterministic=True), best)
    policy.epsilon.fill_(0.0)
    assert torch.equal(act(policy, rows), best)
    assert best.unique().numel() > 1


def test_random_actions_are_as_frequent_as_epsilon_says(made):
    """A share epsilon of the actions is uniform over all of them; equal generators make equal choices."""
    policy = pqn(made).policy
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
    policy = pqn(made).policy
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


def test_memory_goes_on_from_step_to_step():
    """It is the encoder's, keeps its dtype in any precision, and is forgotten where an episode starts."""
    context = remembering(num_envs=2, precision="bfloat16")
    policy = pqn(context).policy
    rows, start = observations(context.observation_space, 2), {"h": torch.rand(2, 8)}
    with torch.no_grad():
        first = torch.tensor([False, True])
        _, _, after = policy.act(rows, start, first, torch.Generator())
        _, _, fresh = policy.act(rows, policy.initial_memory(2), ~first, torch.Generator())
    assert after["h"].dtype is torch.float32
    torch.testing.assert_close(after["h"][1], fresh["h"][1])
    assert not torch.allclose(after["h"][0], fresh["h"][0])


def test_epsilon_travels_with_the_weights(made):
    """It is part of the policy's state."""
    assert "epsilon" in pqn(made).policy.state_dict()


def test_epsilon_cannot_rise():
    """An end above the start is a mistake."""
    with pytest.raises(OptionError, match="must not exceed epsilon_start"):
        PQNConfig(epsilon_start=0.1, epsilon_end=0.2)

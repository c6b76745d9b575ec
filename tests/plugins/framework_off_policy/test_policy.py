"""The actors: what they do before and after learning starts, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary
from small_off_policy import ACTIONS, HIGH, KINDS, LOW, box_context
from small_ppo import VECTOR, make_context, observations
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from framework.errors import FrameworkError
from framework_off_policy.config import SACConfig, TD3Config
from framework_off_policy.policy import CategoricalActor, GaussianActor, TanhActor

LEGAL = torch.tensor([[True, False, True, False]] * 64)


def act(policy, count=64, seed=0, **options):
    rows = observations({"observation": VECTOR}, count)
    first = torch.ones(count, dtype=torch.bool)
    with torch.inference_mode():
        actions, extras, memory = policy.act(rows, {}, first, torch.Generator().manual_seed(seed), **options)
    assert (extras, memory) == ({}, {})
    return actions


@pytest.mark.parametrize("name", KINDS)
def test_actions_are_within_the_bounds(name: str) -> None:
    """Before and after learning starts, in every dimension over nearly its whole range; shaped as the space."""
    algorithm, config = KINDS[name]
    policy = algorithm.make_policy(config(), box_context())
    for uniform in (True, False):
        policy.uniform.fill_(uniform)
        actions = act(policy, 256).numpy()
        assert actions.shape == (256, *ACTIONS.shape)
        assert (actions >= LOW).all()
        assert (actions <= HIGH).all()
        spread = (actions.max(0) - actions.min(0)) / (HIGH - LOW)
        assert (spread > (0.9 if uniform else 0.05)).all()


def test_uniform_actions_are_uniform() -> None:
    """Each third of the range is as likely; the same generator draws the same."""
    policy = TanhActor(TD3Config(learning_starts=1), box_context())
    actions = act(policy, 3000)
    thirds = ((actions - torch.from_numpy(LOW)) / torch.from_numpy(HIGH - LOW) * 3).long().clamp(max=2)
    for dimension in range(3):
        assert thirds[:, 0, dimension].bincount().min() > 900
    assert torch.equal(actions, act(policy, 3000))


def test_learning_may_start_at_once() -> None:
    """With learning_starts = 0 nothing is uniform, and the flag travels with the weights."""
    policy = GaussianActor(SACConfig(learning_starts=0), box_context())
    assert not policy.uniform
    assert not policy.state_dict()["uniform"]


def test_actions_of_networks_and_environment_are_inverse() -> None:
    """-1 and 1 are the bounds, and back."""
    policy = GaussianActor(SACConfig(), box_context())
    assert np.array_equal(policy.to_environment(torch.tensor([[-1.0, -1.0, -1.0]]))[0].numpy(), LOW)
    assert np.array_equal(policy.to_environment(torch.tensor([[1.0, 1.0, 1.0]]))[0].numpy(), HIGH)
    inner = torch.rand(8, 3) * 2 - 1
    torch.testing.assert_close(policy.from_environment(policy.to_environment(inner)), inner)


def test_draws_have_the_log_probability_of_torchs_distribution() -> None:
    """Of a normal distribution transformed by tanh, whose deviation is bounded."""
    policy = GaussianActor(SACConfig(log_std_max=0.5), box_context())
    outputs = torch.randn(50, 6)
    actions, log_prob = policy.draw(outputs, torch.Generator().manual_seed(0))
    mean, log_std = outputs.chunk(2, -1)
    normal = Normal(mean, log_std.clamp(-20, 0.5).exp())
    expected = Independent(TransformedDistribution(normal, TanhTransform()), 1).log_prob(actions)
    torch.testing.assert_close(log_prob, expected, atol=1e-3, rtol=1e-3)


def test_greedy_actions_are_the_squashed_mean() -> None:
    """They ask no generator, also before learning starts."""
    policy = GaussianActor(SACConfig(), box_context())
    outputs, _ = policy(policy.normalized(observations({"observation": VECTOR}, 64)))
    assert torch.equal(act(policy, deterministic=True), policy.to_environment(torch.tanh(outputs[:, :3])))


def test_exploration_noise_is_as_large_as_the_option_says() -> None:
    """Its standard deviation is that of the actions scaled to [-1, 1]."""
    policy = TanhActor(TD3Config(learning_starts=0, exploration_noise=0.2), box_context())
    noise = policy.from_environment(act(policy, 4000)) - policy.from_environment(act(policy, 4000, deterministic=True))
    assert noise.std().item() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("uniform", [True, False])
def test_masks_are_respected(uniform: bool) -> None:
    """Illegal actions are never taken, and all legal ones are at first; actions are numbered from the start."""
    policy = CategoricalActor(SACConfig(), make_context(action=Discrete(4, start=3)))
    policy.uniform.fill_(uniform)
    assert set(act(policy, action_mask=LEGAL).tolist()) == {3, 5}
    assert set(act(policy, action_mask=LEGAL, deterministic=True).tolist()) <= {3, 5}
    assert set(act(policy).tolist()) == {3, 4, 5, 6}


def test_probabilities_of_illegal_actions_are_zero() -> None:
    """And so are their log-probabilities, whose product is no NaN at any temperature."""
    policy = CategoricalActor(SACConfig(), make_context(action=Discrete(4)))
    probs, log_probs = policy.probabilities(torch.randn(64, 4), LEGAL)
    torch.testing.assert_close(probs.sum(1), torch.ones(64))
    for values in (probs, log_probs):
        assert (values[~LEGAL] == 0).all()
    torch.testing.assert_close(probs[LEGAL].log(), log_probs[LEGAL])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Box(-math.inf, math.inf, (2,), np.float32), "must be finite"),
        (Box(1.0, 1.0, (2,), np.float32), "the lower below the upper"),
        (MultiBinary(3), "needs continuous actions"),
    ],
    ids=["infinite", "empty", "bits"],
)
def test_other_actions_are_refused(name: str, space, message: str) -> None:
    """With a message that names the algorithm and the space."""
    algorithm, config = KINDS[name]
    with pytest.raises(FrameworkError, match=f"(?s){name}.*{message}"):
        algorithm.make_policy(config(), box_context(space))


@pytest.mark.parametrize("name", ["td3", "tqc"])
def test_discrete_actions_are_for_sac(name: str) -> None:
    """The others say so."""
    algorithm, config = KINDS[name]
    with pytest.raises(FrameworkError, match="use sac"):
        algorithm.make_policy(config(), make_context())

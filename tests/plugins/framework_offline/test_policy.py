"""The policy, against torch's distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_offline import ACTIONS, offline_context
from torch.distributions import Bernoulli, Categorical, Normal

from framework_offline.config import BCConfig
from framework_offline.policy import DatasetPolicy


def made(name: str, **options: Any) -> tuple[DatasetPolicy, dict[str, torch.Tensor], torch.Tensor]:
    """A policy, observations [20, ...], and actions of its space."""
    space = ACTIONS[name]
    space.seed(0)
    context = offline_context(space)
    policy = DatasetPolicy(BCConfig(**options), context)
    torch.manual_seed(1)
    for parameter in policy.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    observations = {name: torch.rand(20, *space.shape) for name, space in context.observation_space.items()}
    return policy, observations, torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(20)]))


@pytest.mark.parametrize("name", ACTIONS)
def test_log_probabilities(name: str) -> None:
    """Of choices summed over the parts; of real numbers the density of the scaled ones, with a bounded mean."""
    policy, observations, actions = made(name)
    log_probs, _ = policy.log_prob(observations, actions, None)
    outputs, _ = policy.network(observations)
    if name == "multi_discrete":
        parts = zip(outputs.split([2, 3], -1), actions.unbind(-1), strict=True)
        expected = sum(Categorical(logits=logits).log_prob(part) for logits, part in parts)
    elif name == "multi_binary":
        expected = Bernoulli(logits=outputs).log_prob(actions.float()).sum(-1)
    elif name in ("box", "unbounded"):
        assert policy.log_std is not None
        mean, scaled = (outputs.tanh(), (actions - 2) / 4) if name == "box" else (outputs, actions)
        expected = Normal(mean, policy.log_std.exp()).log_prob(scaled).sum(-1)
    else:
        expected = Categorical(logits=outputs).log_prob(actions - actions.min())
    torch.testing.assert_close(log_probs, expected, rtol=1e-4, atol=1e-5)


def test_illegal_actions_are_never_taken() -> None:
    """Nor have they any probability in what is cloned."""
    policy, observations, actions = made("discrete")
    mask = torch.rand(20, 3) < 0.5
    mask[torch.arange(20), actions] = True
    first, generator = torch.ones(20, dtype=torch.bool), torch.Generator().manual_seed(0)
    for deterministic in (True, False):
        taken, _, _ = policy.act(observations, {}, first, generator, action_mask=mask, deterministic=deterministic)
        assert mask[torch.arange(20), taken].all()
    outputs, _ = policy.network(observations)
    expected = Categorical(logits=outputs.masked_fill(~mask, -1e30)).log_prob(actions)
    torch.testing.assert_close(policy.log_prob(observations, actions, mask)[0], expected)


def test_real_actions_are_within_their_bounds() -> None:
    """Drawn or not, and the distribution that is told is that of the environment's actions."""
    policy, observations, _ = made("box")
    first, generator = torch.ones(20, dtype=torch.bool), torch.Generator().manual_seed(0)
    drawn, _, _ = policy.act(observations, {}, first, generator)
    assert -2 <= drawn.min() < drawn.max() <= 6
    greedy, extras, _ = policy.act(observations, {}, first, generator, deterministic=True)
    torch.testing.assert_close(policy.action_distribution(extras)["mean"], greedy)


def test_the_standard_deviation_has_a_bound() -> None:
    """So that the likelihood of a dataset of one action cannot grow for ever."""
    policy, observations, _ = made("box", log_std_min=-2.0)
    assert policy.log_std is not None
    policy.log_std.data.fill_(-9.0)
    _, extras, _ = policy.act(observations, {}, torch.ones(20, dtype=torch.bool), torch.Generator())
    torch.testing.assert_close(policy.action_distribution(extras)["std"], torch.full((20, 2), 4 * float(np.exp(-2))))

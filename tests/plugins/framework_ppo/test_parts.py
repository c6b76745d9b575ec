"""PPO with actions of several parts: what is recorded, masked and learned from is one flat action."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from small_ppo import collect, make_context, observations, ppo

from framework.testing.legal import is_legal, one_illegal_each
from framework.toolkit.spaces import ParameterizedActions, mask_size, single_actions
from framework.toolkit.vjp import vjp
from framework_ppo import closed_form
from framework_ppo.objective import ppo_loss

ARM = Tuple((Discrete(3, start=7), Box(-9, 9, (2, 2), np.float64)))
SPACES = {
    "nested": Dict({"arm": ARM, "bits": MultiBinary(2), "picks": MultiDiscrete([2, 3], start=[1, 0])}),
    "choices": Tuple((Discrete(3), MultiDiscrete([[2, 2]]))),
    "parameterized": ParameterizedActions({"kick": Box(-9, 9, (2,), np.float32), "wait": None}),
}
every = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@every
def test_what_was_recorded_is_what_the_learner_finds(space):
    """Every action is the environment's and legal; its log-probability is that of the learner's forward."""
    context = make_context(action=space)
    rng = np.random.default_rng(0)
    shape = context.rollout_length + 1, context.num_envs
    masks = np.stack([[one_illegal_each(space, rng) for _ in range(shape[1])] for _ in range(shape[0])])
    assert masks.shape == (*shape, mask_size(space))
    algorithm = ppo(context)
    batch = collect(algorithm, context, action_mask=torch.from_numpy(masks))
    assert batch.actions.dtype is torch.float32
    for actions, rows in zip(batch.actions.numpy(), masks, strict=False):
        for action, mask in zip(single_actions(space, actions), rows, strict=True):
            assert space.contains(action)
            assert is_legal(space, action, mask)
    policy = algorithm.policy
    observations = {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}
    parameters, _, _ = policy.evaluate(observations, batch.action_mask[:-1].flatten(0, 1))
    log_prob = policy.distribution.log_prob(parameters, batch.actions.flatten(0, 1))
    recorded = batch.extras["log_probability"].flatten()
    torch.testing.assert_close(recorded, log_prob.detach(), rtol=1e-5, atol=1e-5)
    algorithm.update(batch)
    assert all(torch.isfinite(parameter).all() for parameter in policy.parameters())


@every
def test_closed_form_gradient_is_autograds(space):
    """Of every parameter, whatever is masked."""
    context = make_context(action=space)
    policy = ppo(context).policy
    assert closed_form.covers(policy, ppo_loss)
    rows = observations(context.observation_space, 30)
    rng = np.random.default_rng(0)
    mask = torch.from_numpy(np.stack([one_illegal_each(space, rng) for _ in range(30)]))
    parameters, values, _ = policy.evaluate(rows, mask)
    d_parameters, d_values = torch.randn(parameters.shape), torch.randn(30)
    torch.autograd.backward([parameters, values], [d_parameters, d_values])
    expected = {name: p.grad.clone() for name, p in policy.named_parameters()}
    with torch.no_grad():
        closed_parameters, closed_values, pullback = vjp(policy, rows, mask)
        pullback(d_parameters, d_values)
    tight = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(closed_parameters, parameters.detach(), **tight)
    torch.testing.assert_close(closed_values, values.detach(), **tight)
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], **tight)


@every
def test_each_number_has_a_standard_deviation(space):
    """A parameter of its own, as for plain real actions."""
    algorithm = ppo(make_context(action=space), log_std_init=-0.5)
    deviations = algorithm.policy.log_std
    assert (0 if deviations is None else len(deviations)) == algorithm.policy.distribution.dimensions
    assert deviations is None or deviations.tolist() == [-0.5] * len(deviations)


def test_it_is_nearly_uniform_at_first():
    """Over choices and bits; numbers have the mean 0 and the standard deviation that the options say."""
    context = make_context(action=SPACES["nested"])
    policy = ppo(context, log_std_init=-1.0).policy
    rows = torch.zeros(1, 3)
    *_, extras, _ = _act(policy, rows)
    named = policy.action_distribution(extras)
    assert named["arm/0/logits"].abs().max() < 0.05
    assert named["arm/1/mean"].shape == (1, 2, 2)
    torch.testing.assert_close(named["arm/1/std"], torch.full((1, 2, 2), math.exp(-1.0)))


def _act(policy, rows):
    first = torch.ones(len(rows), dtype=torch.bool)
    with torch.no_grad():
        return policy.act({"observation": rows}, {}, first, torch.Generator())

"""Gradients in closed form, against autograd on the objectives themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ppo import make_context, observations, ppo
from torch import Tensor

from framework_ppo import closed_form
from framework_ppo.autograd import Autograd
from framework_ppo.closed_form import ClosedForm, _backpropagate, imitation_gradients, ppo_gradients
from framework_ppo.config import PPOConfig
from framework_ppo.imitation import Imitated, imitation_loss
from framework_ppo.minibatches import Rows
from framework_ppo.objective import Predictions, Targets, ppo_loss

CLIP = 0.2
EXACT = {"rtol": 1e-12, "atol": 1e-12}
modest = settings(derandomize=True, deadline=None, max_examples=30)
SPACES = {
    "discrete": Discrete(3, start=1),
    "multi_discrete": MultiDiscrete([2, 3]),
    "multi_binary": MultiBinary(2),
    "box": Box(-1, 1, (2,), np.float32),
}


def numbers(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def by_autograd(loss: Any, new: Predictions, *arguments: Any) -> list[Tensor]:
    leaves = Predictions(*(x.clone().requires_grad_() for x in new))
    loss(leaves, *arguments).total.backward()
    return [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]


def assert_equal_gradients(gradients: closed_form.Gradients, expected: list[Tensor]) -> None:
    log_prob, entropy, values = expected
    torch.testing.assert_close(gradients.log_prob, log_prob, **EXACT)
    torch.testing.assert_close(torch.full_like(entropy, gradients.entropy), entropy, **EXACT)
    torch.testing.assert_close(gradients.values, values, **EXACT)


@modest
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 0.3, 1.0]), st.sampled_from([(), (3,)]))
def test_the_gradient_of_ppo_is_autograds(seed: int, value_clip: float | None, streams: tuple[int, ...]) -> None:
    """For ratios within and beyond the clip range, advantages of both signs, clipped values and several streams."""
    rows, per_stream = (50,), (50, *streams)
    log_prob, entropy, values, old_log_prob, advantages, old_values, returns = numbers(
        seed, rows, rows, per_stream, rows, rows, per_stream, per_stream
    )
    new = Predictions(log_prob / 3, entropy, values)
    arguments = Targets(entropy, old_log_prob / 3, advantages, old_values, returns), CLIP
    options = PPOConfig(value_coefficient=0.7, entropy_coefficient=0.2, value_clip_range=value_clip)
    assert_equal_gradients(ppo_gradients(new, *arguments, options), by_autograd(ppo_loss, new, *arguments, options))


@modest
@given(st.integers(0, 2**32 - 1), st.sampled_from([(), (3,)]))
def test_the_gradient_of_imitation_is_autograds(seed: int, streams: tuple[int, ...]) -> None:
    """Where a return exceeds its value, and nowhere else; of several streams the environment's."""
    rows = (50,)
    log_prob, entropy, values, returns, weights = numbers(seed, rows, rows, (50, *streams), rows, rows)
    new, past = Predictions(log_prob, entropy, values), Imitated(returns, weights.abs())
    options = PPOConfig(sil_coefficient=0.3, sil_value_coefficient=0.7)
    gradients = imitation_gradients(new, past, options)
    assert_equal_gradients(gradients, by_autograd(imitation_loss, new, past, options))
    worse = returns <= values.reshape(50, -1)[:, 0]
    assert torch.equal(gradients.log_prob == 0, worse)


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [(1.3, 1.0, False), (1.3, -1.0, True), (0.7, -1.0, False), (0.7, 1.0, True), (1.1, 1.0, True), (0.9, -1.0, True)],
)
def test_the_gradient_stops_beyond_the_clip_range(ratio: float, advantage: float, moves: bool) -> None:
    """It is zero exactly where the ratio is beyond the range on the side that the advantage pushes to."""
    unit = torch.ones(1)
    new = Predictions(torch.tensor([ratio]).log(), unit, unit)
    gradients = ppo_gradients(new, Targets(unit, 0 * unit, advantage * unit, unit, unit), CLIP, PPOConfig())
    assert (gradients.log_prob.item() != 0) == moves


@pytest.mark.parametrize(
    ("space", "masked"),
    [
        *(pytest.param(space, False, id=name) for name, space in SPACES.items()),
        *(pytest.param(SPACES[name], True, id=f"{name}-masked") for name in ("discrete", "multi_discrete")),
    ],
)
@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("networks", [True, False], ids=["networks too", "objective only"])
def test_parameters_get_autograds_gradient(space: Any, masked: bool, share_encoder: bool, networks: bool) -> None:
    """Over random batches, every distribution and masks: of each parameter, from the whole loss."""
    context = make_context(action=space)
    algorithm = ppo(context, share_encoder=share_encoder, entropy_coefficient=0.1)
    policy, size = algorithm.policy, algorithm.policy.distribution.size
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        mask = torch.rand(40, size, generator=generator) < 0.6 if masked else None
        if mask is not None:
            mask[:, 0] = mask[:, -1] = True  # of each part one
        rows = Rows(observations(context.observation_space, 40, seed=seed), mask)
        parameters, values, _ = policy.evaluate(rows.observations, mask)
        actions = policy.distribution.sample(parameters.detach(), generator)
        old_log_prob = policy.distribution.log_prob(parameters, actions).detach()
        noise = torch.randn(4, 40, generator=generator)
        old = Targets(actions, old_log_prob + 0.3 * noise[0], noise[1], values.detach() + noise[2], noise[3])
        gradients = []
        for way in (Autograd, ClosedForm):
            policy.closed_form = networks
            with torch.no_grad():
                way(policy, algorithm._optimizer, None)(ppo_loss, rows, actions, old, CLIP, algorithm._config)
            gradients.append([parameter.grad.clone() for parameter in policy.parameters()])
        for expected, closed in zip(*gradients, strict=True):
            torch.testing.assert_close(closed, expected, rtol=1e-4, atol=1e-6)


def test_it_covers_what_it_knows() -> None:
    """Its own objectives with distributions that have a rule; a researcher's function goes through autograd."""
    policy = ppo(make_context()).policy
    assert closed_form.covers(policy, ppo_loss, imitation_loss)
    assert not closed_form.covers(policy, lambda *_: None)
    policy.distribution = object()
    assert not closed_form.covers(policy, ppo_loss)


@torch.random.fork_rng()
def test_backpropagate_is_autograd_from_given_gradients():
    """Gradients given for two outputs reach the parameters as torch.autograd.backward sends them."""
    layer, x = torch.nn.Linear(3, 4), torch.randn(5, 3)
    d_parameters, d_values = torch.randn(5, 3), torch.randn(5)
    grads = []
    for send in (_backpropagate, lambda a, b, c, d: torch.autograd.backward([a, b], [c, d])):
        layer.zero_grad()
        outputs = layer(x)
        parameters, values = outputs[:, :3], outputs[:, 3]
        with torch.no_grad():  # as in an update
            send(parameters, values, d_parameters, d_values)
        grads.append([parameter.grad.clone() for parameter in layer.parameters()])
    for actual, expected in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected)

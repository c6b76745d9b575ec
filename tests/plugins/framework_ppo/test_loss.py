"""The objective's closed-form gradients, against autograd on its definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_ppo.loss import backpropagate, policy_gradient, standardized, summarize, value_gradient

CLIP = 0.2
EXACT = {"rtol": 1e-12, "atol": 1e-12}
seeds = given(st.integers(0, 2**32 - 1))
modest = settings(derandomize=True, deadline=None, max_examples=30)


def numbers(seed, columns, rows=50):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(columns, rows, generator=generator, dtype=torch.float64).unbind()


def policy_loss(log_prob, old_log_prob, advantages):
    ratio = (log_prob - old_log_prob).exp()
    return -torch.min(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages).mean()


@modest
@seeds
def test_policy_gradient_is_that_of_the_definition(seed):
    """Autograd finds the same gradient, for ratios within and beyond the clip range and advantages of both signs."""
    log_prob, old_log_prob, advantages = numbers(seed, 3)
    log_prob = (log_prob / 3).requires_grad_()
    policy_loss(log_prob, old_log_prob / 3, advantages).backward()
    found, log_ratio = policy_gradient(log_prob.detach(), old_log_prob / 3, advantages, CLIP)
    torch.testing.assert_close(found, log_prob.grad, **EXACT)
    torch.testing.assert_close(log_ratio, log_prob.detach() - old_log_prob / 3, **EXACT)


def test_policy_gradient_at_ratio_one():
    """Where the policy has not moved, the gradient is minus the mean of advantage times that of the log-probability."""
    log_prob, advantages = numbers(0, 2)
    found, _ = policy_gradient(log_prob, log_prob, advantages, CLIP)
    torch.testing.assert_close(found, -advantages / len(advantages), **EXACT)


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [(1.3, 1.0, False), (1.3, -1.0, True), (0.7, -1.0, False), (0.7, 1.0, True), (1.1, 1.0, True), (0.9, -1.0, True)],
)
def test_policy_gradient_stops_beyond_the_clip_range(ratio, advantage, moves):
    """It is zero exactly where the ratio is beyond the range on the side that the advantage pushes to."""
    found, _ = policy_gradient(torch.tensor([ratio]).log(), torch.zeros(1), torch.tensor([advantage]), CLIP)
    assert (found.item() != 0) == moves


@modest
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 0.3, 1.0]))
def test_value_gradient_is_that_of_the_definition(seed, clip):
    """Autograd finds the same gradient of the squared error, and of the larger of it and its clipped version."""
    values, returns, old_values = numbers(seed, 3)
    values.requires_grad_()
    loss = (values - returns).square()
    if clip is not None:
        kept = old_values + (values - old_values).clamp(-clip, clip)
        loss = torch.max(loss, (kept - returns).square())
    (0.7 * 0.5 * loss.mean()).backward()
    found, errors = value_gradient(values.detach(), returns, old_values, 0.7, clip)
    torch.testing.assert_close(found, values.grad, **EXACT)
    torch.testing.assert_close(errors, (values - returns).detach(), **EXACT)


@modest
@seeds
def test_gradients_follow_a_permutation(seed):
    """The order of the rows changes nothing but the order of the gradient."""
    columns = torch.stack(numbers(seed, 3))
    order = torch.randperm(columns.shape[1], generator=torch.Generator().manual_seed(seed))
    for gradient in (
        lambda a, b, c: policy_gradient(a, b, c, CLIP)[0],
        lambda a, b, c: value_gradient(a, b, c, 0.5, 0.2)[0],
    ):
        torch.testing.assert_close(gradient(*columns)[order], gradient(*columns[:, order]), **EXACT)


@pytest.mark.parametrize(("rows", "size"), [(12, 4), (13, 4), (3, 4), (4, 4), (9, 8)])
def test_each_minibatch_is_standardized(rows, size):
    """Every minibatch has mean 0 and deviation 1, the short last one too; one of a single row is 0."""
    advantages = numbers(rows, 1, rows)[0] * 5 + 3
    found = standardized(advantages, size)
    assert len(found) == rows
    for before, after in zip(advantages.split(size), found.split(size), strict=True):
        expected = (before - before.mean()) / (before.std(correction=0) + 1e-8)
        torch.testing.assert_close(after, expected, rtol=1e-9, atol=1e-9)
    if rows % size == 1:
        assert found[-1] == 0


def test_equal_advantages_are_zero():
    """Without deviation there is nothing to divide by, and nothing to learn."""
    assert torch.equal(standardized(torch.full((8,), 0.5), 4), torch.zeros(8))


@pytest.mark.parametrize("value", [0.1, 1000.1, -3e7])
def test_rounding_is_no_advantage(value: float) -> None:
    """Advantages that are equal but for the last bit of float32 stay at zero, whatever their size."""
    advantages = torch.full((257,), value)
    advantages[::3] = torch.nextafter(advantages[::3], torch.tensor(torch.inf))
    assert standardized(advantages, 256).abs().max() == 0


@modest
@seeds
def test_summary_follows_the_definitions(seed):
    """Losses are the objective's terms, and the KL estimate is never negative."""
    log_ratio, advantages, errors, entropy = numbers(seed, 4)
    found = summarize(log_ratio, advantages, errors, entropy, CLIP)
    torch.testing.assert_close(found["policy_loss"], policy_loss(log_ratio, torch.zeros(50), advantages), **EXACT)
    torch.testing.assert_close(found["value_loss"], 0.5 * (errors**2).mean(), **EXACT)
    assert found["approximate_kl"] >= 0
    beyond = [abs(ratio - 1) > CLIP for ratio in log_ratio.exp().tolist()]
    assert found["clip_fraction"].item() == pytest.approx(sum(beyond) / 50)


@torch.random.fork_rng()
def test_backpropagate_is_autograd_from_given_gradients():
    """Gradients given for two outputs reach the parameters as torch.autograd.backward sends them."""
    layer, x = torch.nn.Linear(3, 4), torch.randn(5, 3)
    d_parameters, d_values = torch.randn(5, 3), torch.randn(5)
    grads = []
    for send in (backpropagate, lambda a, b, c, d: torch.autograd.backward([a, b], [c, d])):
        layer.zero_grad()
        outputs = layer(x)
        parameters, values = outputs[:, :3], outputs[:, 3]
        with torch.no_grad():  # as in an update
            send(parameters, values, d_parameters, d_values)
        grads.append([parameter.grad.clone() for parameter in layer.parameters()])
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)

"""The losses, against loops over single transitions."""

from __future__ import annotations

import math

import pytest
import torch

from framework_offline.config import BCConfig, IQLConfig
from framework_offline.objective import Cloned, Predictions, Targets, bc_loss, expectile_loss, iql_loss


@pytest.mark.parametrize("expectile", [0.1, 0.5, 0.9])
def test_the_expectile_minimises_its_loss(expectile: float) -> None:
    """Where it weighs errors as the definition says, no other number has a smaller loss, and 0.5 gives the mean."""
    samples = torch.randn(50, dtype=torch.float64)
    slow = [(expectile if x > 0 else 1 - expectile) * x**2 for x in samples.tolist()]
    torch.testing.assert_close(expectile_loss(samples, expectile), torch.tensor(slow, dtype=torch.float64))
    numbers = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    best = numbers[expectile_loss(samples - numbers[:, None], expectile).mean(-1).argmin()]
    above, below = (samples - best).clamp(min=0).sum(), (best - samples).clamp(min=0).sum()
    assert abs(expectile * above - (1 - expectile) * below) < 0.05
    if expectile == 0.5:
        assert abs(best - samples.mean()) < 1e-3


def test_bc_is_the_mean_negative_log_likelihood() -> None:
    """Weighted by the replay buffer's weights."""
    log_probs, weights = torch.randn(8), torch.rand(8)
    loss = bc_loss(Cloned(log_probs), torch.ones(8), BCConfig())
    torch.testing.assert_close(loss.total, -log_probs.mean())
    weighted = bc_loss(Cloned(log_probs), weights, BCConfig()).total
    slow = -sum(w * p for w, p in zip(weights.tolist(), log_probs.tolist(), strict=True)) / 8
    assert weighted.item() == pytest.approx(slow, rel=1e-5)


def test_iql_is_the_sum_of_three_losses() -> None:
    """Equations 5, 6 and 7 of the paper, a transition at a time; weights are clipped."""
    options = IQLConfig(expectile=0.8, temperature=4.0, weight_clip=5.0)
    new = Predictions(torch.randn(8), torch.randn(8), torch.randn(2, 8))
    old = Targets(torch.randn(8), torch.randn(8), torch.rand(8))
    total, weights = 0.0, []
    for i in range(8):
        advantage = (old.q_values[i] - new.values[i]).item()
        value_loss = (0.8 if advantage > 0 else 0.2) * advantage**2
        q_loss = sum((new.q_values[k, i] - old.returns[i]).item() ** 2 for k in range(2))
        weights.append(min(math.exp(4.0 * advantage), 5.0))
        total += old.weights[i].item() * (value_loss + q_loss - weights[-1] * new.log_probs[i].item()) / 8
    loss = iql_loss(new, old, options)
    assert loss.total.item() == pytest.approx(total, rel=1e-4)
    torch.testing.assert_close(loss.terms["weight"], torch.tensor(weights))
    assert max(weights) == 5.0


def test_the_policy_does_not_move_the_value() -> None:
    """The advantage is a constant where the policy is weighted by it: V learns from the expectile alone."""
    values = torch.randn(8, requires_grad=True)
    new = Predictions(torch.randn(8), values, torch.zeros(2, 8))
    old = Targets(torch.randn(8), torch.zeros(8), torch.ones(8))
    [gradient] = torch.autograd.grad(iql_loss(new, old, IQLConfig()).total, values)
    [expected] = torch.autograd.grad(expectile_loss(old.q_values - values, 0.7).mean(), values)
    torch.testing.assert_close(gradient, expected)

"""Squashed normal variables against slow references."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from framework_off_policy.squashed import log_prob, squash


def test_log_prob_is_that_of_the_change_of_variables() -> None:
    """log N(u) minus the log-determinant of the Jacobian of tanh, by autograd in double precision."""
    generator = torch.Generator().manual_seed(0)
    mean, log_std, noise = 0.5 * torch.randn(3, 20, 4, dtype=torch.float64, generator=generator)
    raw = mean + noise * log_std.exp()
    for row in range(len(raw)):
        gaussian = torch.distributions.MultivariateNormal(mean[row], torch.diag(log_std[row].exp().square()))
        slope = jacobian(torch.tanh, raw[row])
        expected = gaussian.log_prob(raw[row]) - torch.linalg.slogdet(slope).logabsdet
        torch.testing.assert_close(log_prob(raw[row], noise[row], log_std[row]), expected)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.5, -1.0), (-1.0, 0.5)])
def test_the_density_integrates_to_one(mean: float, log_std: float) -> None:
    """Over the actions in (-1, 1), by a fine sum."""
    edges = torch.linspace(-1, 1, 400_001, dtype=torch.float64)
    actions = (edges[1:] + edges[:-1]) / 2
    raw = torch.atanh(actions)
    noise = (raw - mean) / math.exp(log_std)
    density = log_prob(raw[:, None], noise[:, None], torch.full_like(noise, log_std)[:, None]).exp()
    assert abs(density.sum().item() * 2 / len(actions) - 1) < 1e-3


@pytest.mark.parametrize("size", [10.0, 50.0, 1e4])
def test_it_is_finite_where_tanh_rounds_to_one(size: float) -> None:
    """And equal to ``log N - (log 4 - 2 |u|)`` there, with a gradient."""
    raw = torch.tensor([[size], [-size]], requires_grad=True)
    assert squash(raw).abs().eq(1.0).all() or size == 10.0
    value = log_prob(raw, torch.zeros(2, 1), torch.zeros(2, 1))
    torch.testing.assert_close(value, torch.full((2,), 2 * size - math.log(4) - 0.5 * math.log(2 * math.pi)))
    value.sum().backward()
    torch.testing.assert_close(raw.grad, torch.tensor([[2.0], [-2.0]]))

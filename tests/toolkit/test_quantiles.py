"""The quantile Huber loss, against a plain loop and by what it converges to."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.toolkit.quantiles import quantile_huber_gradient, quantile_huber_loss


def slow_loss(quantiles: list[float], samples: list[float], delta: float) -> list[float]:
    """Equation 10 of the paper, one pair after the other."""
    losses = []
    for i, quantile in enumerate(quantiles):
        level = (2 * i + 1) / (2 * len(quantiles))
        total = 0.0
        for sample in samples:
            error = sample - quantile
            huber = 0.5 * error**2 if abs(error) <= delta else delta * (abs(error) - 0.5 * delta)
            total += abs(level - (1.0 if error < 0 else 0.0)) * huber
        losses.append(total / len(samples))
    return losses


numbers = st.floats(-20, 20, width=32)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    quantiles=st.lists(numbers, min_size=1, max_size=6),
    samples=st.lists(numbers, min_size=1, max_size=6),
    delta=st.floats(0.125, 5, width=32),
)
def test_it_is_the_mean_over_all_samples(quantiles: list[float], samples: list[float], delta: float) -> None:
    """For any numbers of quantiles and samples; rows of a batch do not mix."""
    both = quantile_huber_loss(torch.tensor([quantiles, quantiles[::-1]]), torch.tensor([samples, samples]), delta)
    expected = torch.tensor([slow_loss(quantiles, samples, delta), slow_loss(quantiles[::-1], samples, delta)])
    torch.testing.assert_close(both, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("delta", [0.1, 1.0, 100.0])
def test_the_gradient_is_autograd_s(delta: float) -> None:
    """Of the sum, with more samples than quantiles and where errors are exactly 0."""
    generator = torch.Generator().manual_seed(0)
    quantiles = torch.randn(4, 3, generator=generator, requires_grad=True)
    samples = 2.0 * torch.randn(4, 5, generator=generator)
    samples[0, 0] = quantiles[0, 0].detach()
    quantile_huber_loss(quantiles, samples, delta).sum().backward()
    torch.testing.assert_close(quantile_huber_gradient(quantiles.detach(), samples, delta), quantiles.grad)


def test_the_minimum_is_at_the_quantiles() -> None:
    """With a small delta the minimum is where the sample's quantiles are."""
    samples = torch.linspace(0, 1, 1001).square()
    quantiles = torch.full((1, 4), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([quantiles], 0.01)
    for _ in range(400):
        optimizer.zero_grad()
        quantile_huber_loss(quantiles, samples.unsqueeze(0), 1e-3).sum().backward()
        optimizer.step()
    expected = samples.quantile(torch.tensor([0.125, 0.375, 0.625, 0.875]))
    torch.testing.assert_close(quantiles[0].detach(), expected, atol=0.02, rtol=0)


def test_the_gradient_reaches_quantiles_alone() -> None:
    """An error of the right sign: a quantile below all samples is pushed up, by its level."""
    quantiles = torch.tensor([[-9.0, -9.0]], requires_grad=True)
    quantile_huber_loss(quantiles, torch.zeros(1, 3)).sum().backward()
    assert quantiles.grad is not None
    assert quantiles.grad[0].tolist() == pytest.approx([-0.25, -0.75])

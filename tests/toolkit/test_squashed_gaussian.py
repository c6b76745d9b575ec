"""The squashed Gaussian: its density by change of variables, its entropy by integration, its bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch.distributions import AffineTransform, Normal, TanhTransform, TransformedDistribution

from framework.errors import FrameworkError
from framework.toolkit.distributions import SquashedGaussian
from framework.toolkit.vjp import vjp

LOW, HIGH = np.array([-2.0, 0.5, 100.0], np.float32), np.array([2.0, 0.75, 300.0], np.float32)
SPACE = Box(LOW, HIGH)
UNIT = Box(-1, 1, (1,), np.float32)


def parameters(rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.5 * torch.randn(rows, 2 * len(LOW), generator=generator, dtype=torch.float64)


def test_the_density_is_that_of_the_change_of_variables() -> None:
    """The Gaussian's density of u, divided by the determinant of the Jacobian of `squash` that autograd finds."""
    distribution, rows = SquashedGaussian(SPACE), parameters(5)
    samples = distribution.sample(rows, torch.Generator().manual_seed(1))
    for row, u in zip(rows, samples, strict=True):
        jacobian = torch.autograd.functional.jacobian(distribution.squash, u)
        gaussian = Normal(row[:3], row[3:].exp()).log_prob(u).sum()
        expected = gaussian - torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(distribution.log_prob(row, u), expected, rtol=1e-10, atol=1e-10)


def test_the_density_is_torchs_own() -> None:
    """As of a normal transformed by tanh and an affine map, with the gradient of each parameter."""
    distribution, rows = SquashedGaussian(SPACE), parameters(20)
    u = distribution.sample(rows, torch.Generator().manual_seed(1))
    low, high = torch.from_numpy(LOW).double(), torch.from_numpy(HIGH).double()
    gradients = []
    for reference in (True, False):
        leaf = rows.clone().requires_grad_()
        if reference:
            transforms = [TanhTransform(cache_size=1), AffineTransform((low + high) / 2, (high - low) / 2)]
            transformed = TransformedDistribution(Normal(leaf[:, :3], leaf[:, 3:].exp()), transforms)
            log_prob = transformed.log_prob(distribution.squash(u)).sum(-1)
        else:
            log_prob = distribution.log_prob(leaf, u)
        log_prob.square().sum().backward()
        gradients.append((log_prob.detach(), leaf.grad))
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.3), (1.5, 0.5), (-1.0, 2.0)])
def test_density_and_entropy_are_integrals_over_the_actions(mean: float, std: float) -> None:
    """The density adds up to 1 between the bounds, and its logarithm to the entropy."""
    distribution = SquashedGaussian(Box(-3, 5, (1,), np.float32))
    edges = torch.linspace(-3, 5, 400_001, dtype=torch.float64)
    actions = ((edges[1:] + edges[:-1]) / 2).unsqueeze(-1)
    row = torch.tensor([mean, np.log(std)], dtype=torch.float64)
    log_prob = distribution.log_prob(row.expand(len(actions), -1), distribution.unsquash(actions))
    mass = log_prob.exp() * (8 / len(actions))
    assert mass.sum().item() == pytest.approx(1.0, abs=2e-3)
    assert distribution.entropy(row).item() == pytest.approx(-(mass * log_prob).sum().item(), abs=2e-2)


@pytest.mark.parametrize("std", [0.01, 1.0, 3.0])
@pytest.mark.parametrize("mean", [0.0, 2.0, 10.0])
def test_the_entropy_is_as_exact_as_it_says(mean: float, std: float) -> None:
    """Within .005 of the mean of -log p over the Gaussian, integrated finely; and so is its gradient, roughly."""
    distribution = SquashedGaussian(UNIT)
    row = torch.tensor([mean, np.log(std)], dtype=torch.float64, requires_grad=True)
    noise = torch.linspace(-12, 12, 50_001, dtype=torch.float64)
    weights = torch.exp(-noise.square() / 2)
    samples = (row[0] + row[1].exp() * noise).unsqueeze(-1)
    expected = -(weights / weights.sum() * distribution.log_prob(row.expand(len(noise), -1), samples)).sum()
    entropy = distribution.entropy(row)
    assert entropy.item() == pytest.approx(expected.item(), abs=0.005)
    gradients = [torch.autograd.grad(x, row)[0] for x in (entropy, expected)]
    torch.testing.assert_close(*gradients, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("d_entropy", [0.0, 0.3])
def test_vjp_gives_the_same_values_and_gradient_as_autograd(d_entropy: float) -> None:
    """Of log-probability and entropy, weighted anyhow; arguments are left alone."""
    distribution, rows = SquashedGaussian(SPACE), parameters(40)
    u = distribution.sample(rows, torch.Generator().manual_seed(1))
    weights = torch.randn(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    leaf = rows.clone().requires_grad_()
    log_prob, entropy = distribution.log_prob(leaf, u), distribution.entropy(leaf)
    ((weights * log_prob).sum() + d_entropy * entropy.sum()).backward()
    before = [x.clone() for x in (rows, u, weights)]
    with torch.no_grad():
        log_prob_by_rule, entropy_by_rule, pullback = vjp(distribution, rows, u)
        gradient = pullback(weights, d_entropy)
    for actual, expected in ((log_prob_by_rule, log_prob), (entropy_by_rule, entropy), (gradient, leaf.grad)):
        torch.testing.assert_close(actual, expected.detach(), rtol=1e-10, atol=1e-10)
    assert all(torch.equal(x, y) for x, y in zip((rows, u, weights), before, strict=True))


def test_nothing_is_infinite_at_the_bounds() -> None:
    """Neither where u is so large that the action is the bound, nor for the u that is found of a bound."""
    distribution = SquashedGaussian(SPACE)
    row = torch.zeros(6, requires_grad=True)
    for u in (
        torch.full((3,), 1e4),
        torch.full((3,), -1e4),
        *map(distribution.unsquash, map(torch.from_numpy, (LOW, HIGH))),
    ):
        action = distribution.squash(u)
        assert SPACE.contains(action.numpy())
        log_prob = distribution.log_prob(row, u)
        (gradient,) = torch.autograd.grad(log_prob, row)
        assert log_prob.isfinite()
        assert gradient.isfinite().all()


def test_unsquash_finds_what_was_squashed() -> None:
    """Of actions in the precision that they have: of float64 up to large u."""
    distribution = SquashedGaussian(SPACE)
    u = torch.linspace(-8, 8, 30, dtype=torch.float64).view(10, 3)
    torch.testing.assert_close(distribution.unsquash(distribution.squash(u)), u, rtol=1e-6, atol=1e-6)


def test_samples_are_differentiable_in_the_parameters() -> None:
    """By the reparameterization trick: the action's gradient is that of ``tanh(mean + std * noise)``."""
    distribution = SquashedGaussian(UNIT)
    leaf = torch.tensor([[0.3, -0.5]], dtype=torch.float64, requires_grad=True)
    u = distribution.sample(leaf, torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(distribution.squash(u).sum(), leaf)
    slope, noise = 1 - torch.tanh(u).square(), u - leaf[:, :1]
    torch.testing.assert_close(gradient, torch.cat((slope, slope * noise), -1).detach())


@pytest.mark.parametrize("space", [Box(-np.inf, 1, (1,), np.float32), Box(0, np.array([1, 0], np.float32))], ids=str)
def test_bounds_must_be_finite_and_apart(space: Box) -> None:
    """What has no range to squash into is refused by name."""
    with pytest.raises(FrameworkError, match="finite bounds, low below high"):
        SquashedGaussian(space)


def test_its_parameters_have_names_that_tell_what_they_are_of() -> None:
    """Not ``mean`` and ``std``, as whoever samples from those would not squash."""
    named = SquashedGaussian(UNIT).named(torch.tensor([[0.5, 0.0]]))
    assert {name: x.item() for name, x in named.items()} == {"pre_squash_mean": 0.5, "pre_squash_std": 1.0}

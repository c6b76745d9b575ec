"""The losses against plain loops."""

from __future__ import annotations

import math

import pytest
import torch

from framework_off_policy.config import SACConfig, TD3Config, TQCConfig
from framework_off_policy.objective import (
    CriticPredictions,
    CriticTargets,
    DeterministicActor,
    DiscreteActor,
    SoftActor,
    critic_loss,
    deterministic_actor_loss,
    discrete_actor_loss,
    quantile_critic_loss,
    soft_actor_loss,
    temperature_loss,
    truncated,
)

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


def test_the_critics_loss_is_the_sum_over_critics() -> None:
    """Half the weighted squared errors of each, the mean over the rows."""
    values, targets, weights = normal(5, 3), normal(5), normal(5).abs()
    loss = critic_loss(CriticPredictions(values), CriticTargets(targets, weights), SACConfig())
    expected = sum(weights[b] * (values[b, e] - targets[b]) ** 2 / 2 for b in range(5) for e in range(3)) / 5
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(loss.terms["td_error"][2], (values[2] - targets[2]).abs().mean())


@pytest.mark.parametrize("delta", [1.0, 0.3])
def test_the_quantile_huber_loss_is_that_of_a_loop(delta: float) -> None:
    """Each quantile of each critic against each sample, one after the other."""
    rows, critics, quantiles, samples = 4, 2, 3, 5
    values, targets, weights = normal(rows, critics, quantiles), normal(rows, samples), normal(rows).abs()
    expected = 0.0
    for b in range(rows):
        for e in range(critics):
            for m in range(quantiles):
                tau = (m + 0.5) / quantiles
                for k in range(samples):
                    u = (targets[b, k] - values[b, e, m]).item()
                    huber = 0.5 * u * u if abs(u) <= delta else delta * (abs(u) - 0.5 * delta)
                    expected += weights[b].item() * abs(tau - (u < 0)) * huber / delta / quantiles / samples / rows
    loss = quantile_critic_loss(
        CriticPredictions(values), CriticTargets(targets, weights), TQCConfig(huber_delta=delta)
    )
    assert loss.total.item() == pytest.approx(expected)


def test_quantile_regression_finds_the_quantiles() -> None:
    """The loss is least where values are the quantiles of the samples, for a small delta."""
    samples = torch.sort(normal(1, 501)).values
    values = torch.zeros(1, 1, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([values], lr=2.0)
    targets = CriticTargets(samples, torch.ones(1, dtype=torch.float64))
    for step in range(250):
        optimizer.param_groups[0]["lr"] = 2.0 * 0.98**step
        optimizer.zero_grad()
        quantile_critic_loss(CriticPredictions(values), targets, TQCConfig(huber_delta=0.01)).total.backward()
        optimizer.step()
    expected = torch.quantile(samples[0], torch.tensor([0.125, 0.375, 0.625, 0.875], dtype=torch.float64))
    torch.testing.assert_close(values[0, 0].detach(), expected, atol=0.02, rtol=0)


def test_the_largest_quantiles_of_all_critics_are_left_out() -> None:
    """As many as there are critics times what is dropped for each, wherever they come from."""
    quantiles = torch.tensor([[[1.0, 9.0, 2.0], [8.0, 7.0, 0.0]]])
    assert truncated(quantiles, 1).tolist() == [[0.0, 1.0, 2.0, 7.0]]
    assert truncated(quantiles, 0).tolist() == [[0.0, 1.0, 2.0, 7.0, 8.0, 9.0]]


def test_soft_actor_losses() -> None:
    """Temperature times log-probability minus value: of a draw, and summed over the actions."""
    values, log_prob, temperature = normal(6), normal(6), torch.full((6,), 0.3, dtype=torch.float64)
    loss = soft_actor_loss(SoftActor(values, log_prob, temperature), SACConfig())
    torch.testing.assert_close(loss.total, (0.3 * log_prob - values).mean())
    torch.testing.assert_close(loss.terms["entropy"], -log_prob)
    values, log_probs = normal(6, 4), torch.log_softmax(normal(6, 4), -1)
    loss = discrete_actor_loss(DiscreteActor(values, log_probs.exp(), log_probs, temperature), SACConfig())
    policy = torch.distributions.Categorical(logits=log_probs)
    expected = sum(policy.probs[:, a] * (0.3 * log_probs[:, a] - values[:, a]) for a in range(4))
    torch.testing.assert_close(loss.total, expected.mean())
    torch.testing.assert_close(loss.terms["entropy"], policy.entropy())


def test_the_deterministic_actor_raises_the_first_critics_values() -> None:
    """The loss is minus their mean."""
    values = normal(6)
    assert deterministic_actor_loss(DeterministicActor(values), TD3Config()).total == -values.mean()


@pytest.mark.parametrize(("entropy", "moves"), [(-3.0, 1.0), (-1.0, -1.0), (-2.0, 0.0)])
def test_the_temperature_rises_where_entropy_lacks(entropy: float, moves: float) -> None:
    """Below the target entropy the gradient is negative, above it positive, at it zero: the mean gap."""
    log_temperature = torch.zeros((), requires_grad=True)
    temperature_loss(log_temperature, torch.tensor([entropy, entropy]), -2.0).backward()
    assert log_temperature.grad.item() == pytest.approx(-moves)


def test_the_temperature_finds_the_target_entropy() -> None:
    """A softmax over fixed values has the target entropy at the temperature that gradient descent ends with."""
    values, target = torch.tensor([1.0, 0.0, -1.0]), 0.9 * math.log(3)
    log_temperature = torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.SGD([log_temperature], lr=1.0)
    for _ in range(500):
        policy = torch.distributions.Categorical(logits=values / log_temperature.detach().exp())
        optimizer.zero_grad()
        temperature_loss(log_temperature, policy.entropy()[None], target).backward()
        optimizer.step()
    assert policy.entropy().item() == pytest.approx(target, abs=1e-4)

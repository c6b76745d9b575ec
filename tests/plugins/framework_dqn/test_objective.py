"""The loss of DQN and its gradient in closed form, against torch's and autograd's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from framework_dqn import closed_form
from framework_dqn.closed_form import categorical_gradient, dqn_gradient, quantile_gradient
from framework_dqn.config import DQNConfig
from framework_dqn.distributional import MeanReturn, QuantileReturn
from framework_dqn.objective import (
    DistributionPredictions,
    DistributionTargets,
    Predictions,
    Targets,
    categorical_loss,
    dqn_loss,
    quantile_loss,
)


@pytest.mark.parametrize("delta", [0.3, 1.0, 1e9])
def test_it_is_hubers_loss(delta: float) -> None:
    """As torch has it (half the square with a large delta), weighted; the gradient is what autograd finds."""
    values = torch.linspace(-3, 3, 25, requires_grad=True)
    weights = torch.rand(25, generator=torch.Generator().manual_seed(0))
    old, options = Targets(torch.full((25,), 0.1), weights), DQNConfig(huber_delta=delta)
    loss = dqn_loss(Predictions(values), old, options)
    expected = functional.huber_loss(values, old.values, reduction="none", delta=delta)
    if delta == 1e9:
        torch.testing.assert_close(expected, 0.5 * (values - 0.1).square())
    torch.testing.assert_close(loss.terms["loss"], weights * expected)
    torch.testing.assert_close(loss.total, (weights * expected).mean())
    assert torch.equal(loss.terms["td_error"], (values - 0.1).abs())
    loss.total.backward()
    torch.testing.assert_close(dqn_gradient(Predictions(values.detach()), old, options), values.grad)


def test_the_closed_form_covers_what_it_knows() -> None:
    """A researcher's function goes through autograd, and so does one that is not about the distribution."""
    assert closed_form.covers(dqn_loss, MeanReturn())
    assert closed_form.covers(quantile_loss, QuantileReturn())
    assert not closed_form.covers(lambda *_: None, MeanReturn())
    assert not closed_form.covers(dqn_loss, QuantileReturn())


@pytest.mark.parametrize("kind", ["categorical", "quantile"])
def test_gradients_of_distributions_are_autograd_s(kind: str) -> None:
    """With respect to the outputs, weighted."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 5, generator=generator, requires_grad=True)
    returns = 2.0 * torch.randn(6, 5, generator=generator)
    loss, gradient = {
        "categorical": (categorical_loss, categorical_gradient),
        "quantile": (quantile_loss, quantile_gradient),
    }[kind]
    old = DistributionTargets(
        torch.zeros(6),
        torch.rand(6, generator=generator),
        returns.softmax(-1) if kind == "categorical" else returns,
    )
    options = DQNConfig(huber_delta=0.7)
    loss(DistributionPredictions(torch.zeros(6), outputs), old, options).total.backward()
    by_hand = gradient(DistributionPredictions(torch.zeros(6), outputs.detach()), old, options)
    torch.testing.assert_close(by_hand, outputs.grad)

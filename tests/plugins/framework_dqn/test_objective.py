"""The loss of DQN and its gradient in closed form, against torch's and autograd's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from framework_dqn import closed_form
from framework_dqn.closed_form import dqn_gradient
from framework_dqn.config import DQNConfig
from framework_dqn.objective import Predictions, Targets, dqn_loss


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
    """A researcher's function goes through autograd."""
    assert closed_form.covers(dqn_loss)
    assert not closed_form.covers(lambda *_: None)

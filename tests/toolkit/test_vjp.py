"""The table of closed-form gradients: whom it covers. The rules themselves are tested beside what they are for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from framework.toolkit import vjp as table
from framework.toolkit.distributions import Categorical
from framework.toolkit.networks import ACTIVATIONS, MLP
from framework.toolkit.vjp import covers, rule, vjp


class Doubled(MLP):
    """Computes something else than its base."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * super().forward(x)


def test_a_subclass_is_not_covered_by_its_base() -> None:
    """It may compute something else; a plugin adds a rule for it."""
    doubled = Doubled(3, (2,), "identity")
    assert covers(MLP(3, (2,)), Categorical(2))
    assert not covers(MLP(3, (2,)), doubled)
    assert not covers(torch.nn.Linear(3, 2))
    with pytest.raises(KeyError):
        vjp(doubled, torch.zeros(1, 3))


def test_a_plugin_adds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `rule`; with its help the gradient is autograd's."""
    monkeypatch.setattr(table, "_RULES", dict(table._RULES))

    @rule(Doubled)
    def _(module: Doubled, x: torch.Tensor, **options: Any) -> Any:
        result, pullback = table._mlp(module, x, **options)
        return 2.0 * result, lambda gradient: pullback(2.0 * gradient)

    module, x, weights = Doubled(3, (4, 2)), torch.randn(5, 3), torch.randn(5, 2)
    assert covers(module)
    (module(x) * weights).sum().backward()
    expected = [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]
    with torch.no_grad():
        result, pullback = vjp(module, x)
        pullback(weights)
    torch.testing.assert_close(result, module(x).detach())
    for parameter, gradient in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_every_activation_has_its_gradient() -> None:
    """Networks and their rules know the same ones."""
    assert table._ACTIVATIONS.keys() == ACTIVATIONS.keys()

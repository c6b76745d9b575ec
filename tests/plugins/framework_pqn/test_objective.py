"""The loss of PQN."""

from __future__ import annotations

import torch

from framework_pqn.config import PQNConfig
from framework_pqn.objective import Predictions, Targets, pqn_loss


def test_it_is_half_the_mean_squared_error() -> None:
    """Its terms are those of each step."""
    values, returns = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.0, 4.0, -1.0])
    loss = pqn_loss(Predictions(values), Targets(torch.zeros(3, dtype=torch.int64), returns), PQNConfig())
    assert loss.total.item() == torch.tensor([0.5, 2.0, 0.0]).mean()
    assert {name: term.tolist() for name, term in loss.terms.items()} == {
        "loss": [0.5, 2.0, 0.0],
        "q_mean": [1.0, 2.0, -1.0],
        "td_error": [1.0, 2.0, 0.0],
    }

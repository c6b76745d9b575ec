"""What DQN steps by."""

from __future__ import annotations

import torch
from small_dqn import dqn, dqn_context
from small_ppo import collect

from framework.toolkit.choices import OPTIMIZERS


def test_each_optimizer_learns_in_its_own_way() -> None:
    """An update moves the weights, by other steps with each optimizer; "adam" differs by its weight decay."""
    context = dqn_context()
    moved = {}
    for name in OPTIMIZERS:
        algorithm = dqn(context, optimizer=name, weight_decay=0.1)
        before = algorithm._optimizer.parameters.clone()
        algorithm.update(collect(algorithm, context))
        moved[name] = algorithm._optimizer.parameters - before
        assert moved[name].abs().max() > 1e-6
    assert not any(torch.allclose(moved["adamw"], moved[name], atol=1e-7) for name in OPTIMIZERS[1:])

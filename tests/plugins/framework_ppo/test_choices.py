"""What PPO starts from and what it steps by: the choices that it has in common with other algorithms."""

from __future__ import annotations

import pytest
import torch
from small_ppo import collect, make_context, ppo

from framework.toolkit.choices import OPTIMIZERS


def test_each_optimizer_learns_in_its_own_way() -> None:
    """An update moves the weights, by other steps with each optimizer; "adam" differs by its weight decay."""
    context = make_context()
    moved = {}
    for name in OPTIMIZERS:
        algorithm = ppo(context, optimizer=name, weight_decay=0.1)
        before = algorithm._optimizer.parameters.clone()
        algorithm.update(collect(algorithm, context))
        moved[name] = algorithm._optimizer.parameters - before
        assert moved[name].abs().max() > 1e-6
    assert not any(torch.allclose(moved["adamw"], moved[name], atol=1e-7) for name in OPTIMIZERS[1:])


@pytest.mark.parametrize(("name", "biased"), [("orthogonal", False), ("uniform", True)])
def test_initialization_is_the_encoders_and_the_heads(name: str, biased: bool) -> None:
    """Torch's own weights have biases, which orthogonal layers start without; samplers start from the same weights."""
    context = make_context()
    algorithm = ppo(context, initialization=name)
    policy = algorithm.policy
    layers = [module for module in policy.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) == 6
    assert all(bool(layer.bias.any()) == biased for layer in layers)
    sampling = algorithm.make_policy(algorithm._config, context)
    assert all(torch.equal(x, y) for x, y in zip(policy.parameters(), sampling.parameters(), strict=True))

"""Critics side by side, against each alone."""

from __future__ import annotations

import pytest
import torch
from small_off_policy import box_context
from small_ppo import observations
from torch import nn

from framework.errors import FrameworkError
from framework.toolkit.state import seeded
from framework_off_policy.config import SACConfig
from framework_off_policy.critic import Critics, Ensemble


def member(ensemble: Ensemble, number: int, layer_norm: bool) -> nn.Sequential:
    """One of the networks, made of torch's own layers."""
    layers: list[nn.Module] = []
    pairs = list(zip(ensemble.sizes, ensemble.sizes[1:], strict=False))
    for index, (inputs, outputs) in enumerate(pairs):
        linear = nn.Linear(inputs, outputs)
        linear.weight.data = ensemble.weights[index].detach()[number]
        linear.bias.data = ensemble.biases[index].detach().view(ensemble.count, -1)[number]
        layers.append(linear)
        if index < len(pairs) - 1:
            if layer_norm:
                norm = nn.LayerNorm(outputs)
                norm.weight.data = ensemble.gains[index].detach().view(ensemble.count, -1)[number]
                norm.bias.data = ensemble.shifts[index].detach().view(ensemble.count, -1)[number]
                layers.append(norm)
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_each_member_is_a_network_of_its_own(hidden: tuple[int, ...], layer_norm: bool) -> None:
    """Outputs of all are those of torch's layers with the same weights."""
    with seeded(0):
        ensemble = Ensemble(3, (4, *hidden, 2), "relu", layer_norm=layer_norm)
        for parameter in (*ensemble.gains, *ensemble.shifts):
            nn.init.normal_(parameter)
        x = torch.randn(6, 4)
    expected = torch.stack([member(ensemble, number, layer_norm)(x) for number in range(3)])
    torch.testing.assert_close(ensemble(x), expected)
    assert not torch.equal(expected[0], expected[1])


def test_members_start_as_torchs_layers_do() -> None:
    """Weights and biases are uniform within one over the root of the number of inputs."""
    critics = Critics(SACConfig(critic_hidden=(64, 64)), box_context(), actions=3, outputs=1)
    for weight, bias in critics.ensemble.layers:
        bound = weight.shape[2] ** -0.5
        for values in (weight, bias):
            assert 0.9 * bound < values.abs().max() <= bound or values.numel() < 100


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    """Where a generator draws; equal generators drop alike, and without one nothing is dropped."""
    with seeded(0):
        ensemble = Ensemble(2, (4, 512, 1), "identity", dropout=0.25)
        plain = Ensemble(2, (4, 512, 1), "identity")
    plain.load_state_dict(ensemble.state_dict())
    x = torch.ones(1, 4)
    torch.testing.assert_close(ensemble(x), plain(x))
    draws = torch.stack([ensemble(x, torch.Generator().manual_seed(seed)) for seed in range(200)])
    assert torch.equal(draws[3], ensemble(x, torch.Generator().manual_seed(3)))
    assert draws.std(0).min() > 0
    torch.testing.assert_close(draws.mean(0), plain(x), atol=0.1, rtol=0)


def test_an_encoder_with_memory_is_refused() -> None:
    """By the critics as by the actor: they learn from single transitions."""

    class Remembering(nn.Module):
        feature_dim = 2

        def initial_memory(self, count):
            return {"state": torch.zeros(count, 2)}

    context = box_context(encoder=lambda _: Remembering())
    with pytest.raises(FrameworkError, match="encoders without memory only"):
        Critics(SACConfig(), context, actions=3, outputs=1)


def test_values_depend_on_observations_and_actions() -> None:
    """Each row's alone."""
    context = box_context()
    with seeded(0):
        critics = Critics(SACConfig(), context, actions=3, outputs=1)
    rows = observations(context.observation_space, 1, 5)
    actions = torch.zeros(5, 3)
    values, losses = critics(rows, actions)
    assert values.shape == (5, 2, 1)
    assert losses == {}
    actions[2] = 1.0
    changed = (critics(rows, actions)[0] != values).flatten(1).any(1)
    assert changed.tolist() == [False, False, True, False, False]

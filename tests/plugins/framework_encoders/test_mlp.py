"""The encoder of vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_ppo import make_context, observations

from framework.toolkit.vjp import covers, vjp
from framework_encoders.config import MLPConfig
from framework_encoders.mlp import MLP
from framework_encoders.vectors import Vectors

LEAVES = {
    "b": Box(-1, 1, (2, 3), np.float64),
    "a": Discrete(4, start=-2),
    "d": MultiBinary((2, 2)),
    "c": MultiDiscrete([2, 3], start=[5, 1]),
    "e": Box(0, 255, (), np.uint8),
}


def test_leaves_stand_side_by_side_in_the_order_of_their_names():
    """Each leaf's part is what it should be: one-hot for choices, the flattened numbers for the rest."""
    observation = {
        "b": torch.arange(6, dtype=torch.float64).view(1, 1, 2, 3),
        "a": torch.tensor([[1]]),
        "d": torch.tensor([[[[1, 0], [0, 1]]]], dtype=torch.int8),
        "c": torch.tensor([[[6, 3]]]),
        "e": torch.tensor([[200]], dtype=torch.uint8),
    }
    vectors = Vectors(LEAVES)
    expected = [0, 0, 0, 1, *range(6), 0, 1, 0, 0, 1, 1, 0, 0, 1, 200]
    assert vectors(observation).tolist() == [[expected]]
    assert vectors.width == len(expected)


@pytest.mark.parametrize("name", LEAVES)
@torch.random.fork_rng()
def test_every_leaf_alone(name):
    """Any space that is no image is encoded, at any T and N, in float32; memory comes back as it was."""
    context = make_context({name: LEAVES[name]})
    encoder = MLP(MLPConfig(hidden=(8, 5)), context)
    memory = {"kept": torch.zeros(3)}
    encoding, after = encoder(
        observations(context.observation_space, 2, 3), memory, torch.zeros(2, 3, dtype=torch.bool)
    )
    assert encoding.features.shape == (2, 3, encoder.feature_dim) == (2, 3, 5)
    assert encoding.features.dtype == torch.float32
    assert after is memory
    assert encoder.initial_memory(3) == {}


@pytest.mark.parametrize("layer_norm", [False, True])
@torch.random.fork_rng()
def test_closed_form_gradient_is_autograds(layer_norm):
    """`vjp` gives the features of `forward` and the gradients that autograd finds."""
    context = make_context({name: LEAVES[name] for name in "bad"})
    encoder = MLP(MLPConfig(hidden=(8, 5), layer_norm=layer_norm), context)
    assert covers(encoder)
    assert any(isinstance(module, torch.nn.LayerNorm) for module in encoder.modules()) == layer_norm
    observation = observations(context.observation_space, 1, 20)
    features = encoder(observation, {}, torch.zeros(1, 20, dtype=torch.bool))[0].features[0]
    weights = torch.randn(20, 5)
    (features * weights).sum().backward()
    expected = [parameter.grad.clone() for parameter in encoder.parameters()]
    with torch.no_grad():
        features_by_rule, pullback = vjp(encoder, observation)
        pullback(weights)
    torch.testing.assert_close(features_by_rule, features.detach(), rtol=1e-5, atol=1e-6)
    for parameter, gradient in zip(encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5)


def test_without_layers_features_are_the_observations():
    """As one vector, by the rule too; there is nothing to learn."""
    context = make_context({name: LEAVES[name] for name in "bad"})
    encoder = MLP(MLPConfig(hidden=()), context)
    observation = observations(context.observation_space, 1, 20)
    features = encoder(observation, {}, torch.zeros(1, 20, dtype=torch.bool))[0].features
    assert torch.equal(features, encoder.vectors(observation))
    assert torch.equal(vjp(encoder, observation)[0], features[0])
    assert encoder.feature_dim == features.shape[-1]
    assert list(encoder.parameters()) == []

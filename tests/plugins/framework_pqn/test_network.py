"""The network of PQN: closed-form gradients, layer normalization, and what it refuses."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, MultiBinary, MultiDiscrete
from small_ppo import make_context, observations
from small_pqn import pqn, remembering

from framework.errors import FrameworkError
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.vjp import vjp
from framework_encoders.cnn import CNN
from framework_encoders.config import CNNConfig

IMAGE = Box(0, 255, (8, 8, 3), np.uint8)
SMALL = CNNConfig(channels=(4,), kernels=(3,), strides=(2,), features=8, layer_norm=True)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (8, 6)], ids=["linear", "hidden"])
@pytest.mark.parametrize("image", [False, True], ids=["vector", "image"])
def test_closed_form_gradient_is_autograds(layer_norm, hidden, image):
    """`vjp` gives the values of the forward pass, and the gradient that autograd finds for every parameter."""
    context = make_context(IMAGE, encoder=lambda context: CNN(SMALL, context)) if image else make_context()
    network = pqn(context, head_hidden=hidden, layer_norm=layer_norm, normalize_observations=True).policy.network
    assert network.closed_form
    optimizer = FlatOptimizer(network)  # gives every parameter a gradient to write to
    rows = observations(context.observation_space, 1, 5)
    weights = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    evaluation = network(rows, {}, torch.ones(1, 5, dtype=torch.bool))
    (evaluation.values[0] * weights).sum().backward()
    expected = optimizer.gradients.clone()
    optimizer.gradients.fill_(7.0)
    with torch.no_grad():
        values, pullback = vjp(network, rows)
        pullback(weights)
    torch.testing.assert_close(values, evaluation.values[0])
    gradients = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    optimizer.gradients.copy_(expected)
    torch.testing.assert_close(
        gradients, torch.cat([p.grad.flatten() for p in network.parameters()]), rtol=1e-4, atol=1e-5
    )
    assert gradients.abs().sum() > 0


def test_values_are_bounded_by_the_last_layer():
    """Whatever an observation's size, a normalized layer before the last one bounds the values, as the proof asks."""
    context = make_context()
    rows, first = observations(context.observation_space, 1, 6), torch.ones(1, 6, dtype=torch.bool)
    huge = {name: 1e6 * x for name, x in rows.items()}
    for layer_norm in (True, False):
        network = pqn(context, layer_norm=layer_norm).policy.network
        network.closed_form = False
        network.encoder.layers.activation = "relu"
        with torch.no_grad():
            values = network(huge, {}, first).values
        bound = network.head.output.layers[0].weight.norm(dim=1) * 8**0.5
        assert bool((values.abs() <= bound).all()) == layer_norm


def test_constant_values_are_those_of_the_forward_pass():
    """Of steps of several environments, with and without memory, and the memory after them."""
    for context in (make_context(), remembering()):
        network = pqn(context).policy.network
        assert network.remembers == (not network.closed_form)
        steps = observations(context.observation_space, 5, 4)
        first = torch.rand(5, 4, generator=torch.Generator().manual_seed(0)) < 0.3
        memory = network.encoder.initial_memory(4)
        with torch.no_grad():
            values, after = network.constant(steps, memory, first)
            evaluation = network(steps, memory, first)
        torch.testing.assert_close(values, evaluation.values)
        assert after.keys() == memory.keys()
        assert all(torch.equal(after[name], x) for name, x in evaluation.memory.items())


@pytest.mark.parametrize(
    "space",
    [MultiDiscrete([2, 2]), MultiBinary(2), Box(-1, 1, (1,), np.float32)],
    ids=lambda space: type(space).__name__,
)
def test_other_action_spaces_are_refused(space):
    """Only a Discrete space is accepted; the message names the one it got."""
    with pytest.raises(FrameworkError, match=r"Discrete action space.*" + type(space).__name__):
        pqn(make_context(action=space))


def test_an_encoder_is_needed():
    """Without one it says so."""
    with pytest.raises(FrameworkError, match="needs an encoder"):
        pqn(attrs.evolve(make_context(), make_encoder=None))


@pytest.mark.parametrize(("name", "biased"), [("uniform", True), ("orthogonal", False)])
def test_initialization_is_the_encoders_and_the_heads(name, biased):
    """Torch's own weights have biases, which orthogonal layers start without."""
    network = pqn(make_context(), initialization=name).policy.network
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) == 4
    assert all(bool(layer.bias.any()) == biased for layer in layers)

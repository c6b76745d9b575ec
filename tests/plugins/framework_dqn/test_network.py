"""The network of DQN: closed-form gradients, dueling heads, and what it refuses."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_dqn import dqn, dqn_context
from small_ppo import observations

from framework.errors import FrameworkError
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.vjp import vjp
from framework_dqn.network import DuelingHead
from framework_encoders.cnn import CNN
from framework_encoders.config import CNNConfig

IMAGE = Box(0, 255, (8, 8, 3), np.uint8)
SMALL = CNNConfig(channels=(4,), kernels=(3,), strides=(2,), features=8)


@pytest.mark.parametrize("dueling", [False, True], ids=["plain", "dueling"])
@pytest.mark.parametrize("hidden", [(), (8, 6)], ids=["linear", "hidden"])
@pytest.mark.parametrize(
    ("image", "distribution"),
    [(False, "none"), (True, "none"), (False, "quantile")],
    ids=["vector", "image", "distribution"],
)
def test_closed_form_gradient_is_autograds(dueling, hidden, image, distribution):
    """`vjp` gives the values of the forward pass, and the gradient that autograd finds for every parameter."""
    context = dqn_context(IMAGE, encoder=lambda context: CNN(SMALL, context)) if image else dqn_context()
    network = dqn(context, dueling=dueling, head_hidden=hidden, distribution=distribution, atoms=4).policy.network
    assert network.closed_form
    optimizer = FlatOptimizer(network)  # gives every parameter a gradient to write to
    rows = observations(context.observation_space, 5)
    shape = (5, 3) if distribution == "none" else (5, 3, 4)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values, losses = network(rows)
    assert losses == {}
    (values * weights).sum().backward()
    expected = optimizer.gradients.clone()
    optimizer.gradients.fill_(7.0)
    with torch.no_grad():
        values_by_rule, pullback = vjp(network, rows)
        pullback(weights)
    torch.testing.assert_close(values_by_rule, values)
    places = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    optimizer.gradients.copy_(expected)
    torch.testing.assert_close(places, torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert places.abs().sum() > 0


def test_dueling_advantages_have_mean_zero():
    """The mean of a state's action values is the state's value."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = DuelingHead(4, (6,), 5)
    features = torch.linspace(-1, 1, 12).view(3, 4)
    torch.testing.assert_close(head(features).mean(-1), head.value(features).squeeze(-1))
    assert head(features).std(-1).min() > 0


@pytest.mark.parametrize(
    "space",
    [MultiDiscrete([2, 2]), MultiBinary(2), Box(-1, 1, (1,), np.float32)],
    ids=lambda space: type(space).__name__,
)
def test_other_action_spaces_are_refused(space):
    """Only a Discrete space is accepted; the message names the one it got."""
    with pytest.raises(FrameworkError, match=r"Discrete action space.*" + type(space).__name__):
        dqn(dqn_context(action=space))


@pytest.mark.parametrize("missing", ["make_encoder", "make_replay"])
def test_what_it_is_made_of_must_be_there(missing):
    """Without an encoder or a replay buffer it says so."""
    with pytest.raises(FrameworkError, match=missing.removeprefix("make_")):
        dqn(attrs.evolve(dqn_context(action=Discrete(2)), **{missing: None}))


def test_float16_is_for_gpus():
    """On a CPU it is refused."""
    with pytest.raises(FrameworkError, match="needs a GPU"):
        dqn(dqn_context(precision="float16"))


@pytest.mark.parametrize(("options", "biased"), [({}, True), ({"initialization": "orthogonal"}, False)])
def test_initialization_is_the_encoder_s_and_the_heads(options, biased):
    """Torch's own by default: weights within 1 / sqrt(inputs), and biases, which orthogonal layers start without."""
    network = dqn(dqn_context(), dueling=True, head_hidden=(8,), **options).policy.network
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) > 4
    assert all(bool(layer.bias.any()) == biased for layer in layers)
    within = [bool((layer.weight.abs() <= layer.in_features**-0.5).all()) for layer in layers]
    assert all(within) == biased

"""Fully connected layers: their closed-form gradient against autograd's."""

from __future__ import annotations

import math

import pytest
import torch

from framework.toolkit.networks import ACTIVATIONS, MLP, LayerNormMLP, initialization, orthogonal
from framework.toolkit.vjp import vjp


def network(activation="tanh", sizes=(8, 5), inputs=3, kind=MLP):
    torch.manual_seed(0)
    return kind(inputs, sizes, activation)


@pytest.mark.parametrize("kind", [MLP, LayerNormMLP])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("inputs", "sizes"), [(3, (8, 5)), (9, (4,)), (2, (6, 6, 6))])
@torch.random.fork_rng()
def test_vjp_is_what_autograd_gives(activation, inputs, sizes, kind):
    """Features, and gradients of every parameter and of the input, agree with `forward` under autograd."""
    mlp = network(activation, sizes, inputs, kind)
    with torch.no_grad():
        for parameter in mlp.parameters():  # neither ones nor zeros
            parameter.add_(torch.rand_like(parameter), alpha=0.3)
    x = torch.randn(12, inputs, requires_grad=True)
    weights = torch.randn(12, sizes[-1])
    expected = mlp(x)
    (expected * weights).sum().backward()
    gradients = [parameter.grad.clone() for parameter in mlp.parameters()]
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.grad.fill_(9.0)  # overwritten, not added to
        features, pullback = vjp(mlp, x.detach(), input_gradient=True)
        input_gradient = pullback(weights)
    torch.testing.assert_close(features, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(input_gradient, x.grad, rtol=1e-4, atol=1e-5)
    for parameter, gradient in zip(mlp.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [MLP, LayerNormMLP])
@torch.random.fork_rng()
def test_vjp_skips_parameters_without_a_gradient(kind):
    """A frozen parameter stays without ``grad`` and the others get theirs; no input gradient is made unasked."""
    mlp = network(kind=kind)
    mlp.layers[1].weight.grad = torch.zeros_like(mlp.layers[1].weight)
    with torch.no_grad():
        features, pullback = vjp(mlp, torch.randn(4, 3))
        assert pullback(torch.randn_like(features)) is None
    assert mlp.layers[1].weight.grad.abs().sum() > 0
    assert mlp.layers[0].weight.grad is None


@torch.random.fork_rng()
def test_leading_dimensions_do_not_matter():
    """[T, N, F] gives what its rows give one by one."""
    mlp, x = network(), torch.randn(2, 3, 3)
    torch.testing.assert_close(mlp(x), torch.stack([torch.stack([mlp(row) for row in rows]) for rows in x]))


@torch.random.fork_rng()
def test_orthogonal_weights():
    """Rows of the weight are orthogonal, of length ``gain``; the bias is zero."""
    layer = orthogonal(torch.nn.Linear(9, 4), gain=math.sqrt(2))
    torch.testing.assert_close(layer.weight @ layer.weight.t(), 2 * torch.eye(4), rtol=0, atol=1e-5)
    assert not layer.bias.any()


@torch.random.fork_rng()
def test_layers_follow_loaded_weights():
    """After loading another network's state, both compute the same."""
    original, loaded = network(), MLP(3, (8, 5))
    loaded.load_state_dict(original.state_dict())
    x = torch.randn(4, 3)
    assert torch.equal(original(x), loaded(x))
    with torch.no_grad():
        assert torch.equal(vjp(original, x)[0], vjp(loaded, x)[0])


def test_layers_start_as_they_are_told_to():
    """Orthogonal by default; inside `initialization` of "uniform" as torch makes them, with the same random numbers."""
    torch.manual_seed(0)
    with initialization("uniform"):
        uniform = MLP(4, (8,))
    torch.manual_seed(0)
    plain = torch.nn.Linear(4, 8)
    assert torch.equal(uniform.layers[0].weight, plain.weight)
    assert torch.equal(uniform.layers[0].bias, plain.bias)
    weight = MLP(4, (8,)).layers[0].weight
    torch.testing.assert_close(weight.t() @ weight, 2 * torch.eye(4))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", lambda x: 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0)))),
        ("silu", lambda x: x / (1.0 + torch.exp(-x))),
    ],
)
def test_smooth_activations_are_their_definitions(name, function):
    """GELU is x times the normal distribution function, without approximation; SiLU is x times the logistic one."""
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name](x), function(x))


@torch.random.fork_rng()
def test_layer_norm_stands_before_the_activation():
    """Each layer: linear, then mean 0 and variance 1 over its outputs with gain and bias, then the activation."""
    mlp = network("relu", (6,), kind=LayerNormMLP)
    with torch.no_grad():
        mlp.norms[0].weight.copy_(torch.linspace(0.5, 2, 6))
        mlp.norms[0].bias.copy_(torch.linspace(-1, 1, 6))
    x = torch.randn(4, 3)
    for row, result in zip(x, mlp(x), strict=True):
        z = mlp.layers[0].weight @ row + mlp.layers[0].bias
        standard = (z - z.mean()) / (z.var(correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(result, (standard * mlp.norms[0].weight + mlp.norms[0].bias).relu())

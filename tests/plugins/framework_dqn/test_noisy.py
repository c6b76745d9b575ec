"""Noisy layers against explicit matrices, and how DQN explores and learns with them."""

from __future__ import annotations

import copy

import pytest
import torch
from gymnasium.spaces import Discrete
from small_dqn import dqn, dqn_context
from small_ppo import collect, observations, same

from framework_dqn.config import DQNConfig
from framework_dqn.noisy import NoisyLinear, NoisyMLP, noise, noisy_layers


def layer(inputs: int = 6, outputs: int = 4) -> NoisyLinear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NoisyLinear(inputs, outputs, 0.5)


def test_noise_is_factorised_and_gaussian() -> None:
    """The output is that of the noisy matrix of the paper, written out, with its gradients."""
    noisy = layer()
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with noise(torch.Generator().manual_seed(2), [noisy]):
        result = noisy(x)
    into, out = (e.sign() * e.abs().sqrt() for e in (torch.randn(n, generator=generator) for n in (6, 4)))
    weight = noisy.weight + noisy.weight_std * torch.outer(out, into)
    expected = x @ weight.T + noisy.bias + noisy.bias_std * out
    torch.testing.assert_close(result, expected)
    parameters = list(noisy.parameters())
    for gradient, reference in zip(
        torch.autograd.grad(result.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(gradient, reference)
    torch.testing.assert_close(noisy(x), x @ noisy.weight.T + noisy.bias)


def test_rows_may_have_noise_of_their_own() -> None:
    """Equal rows then differ, else they do not; noise is drawn in each `noise` anew."""
    noisy = layer()
    x, generator = torch.ones(3, 6), torch.Generator().manual_seed(0)
    with noise(generator, [noisy], rows=3):
        rows = noisy(x)
        for row, into, out in zip(rows, *noisy.noise, strict=True):
            weight = noisy.weight + noisy.weight_std * torch.outer(out, into)
            torch.testing.assert_close(row, weight @ x[0] + noisy.bias + noisy.bias_std * out)
    assert len(rows.unique(dim=0)) == 3
    with noise(generator, [noisy]):
        first = noisy(x)
    torch.testing.assert_close(first, first[:1].expand(3, -1))
    with noise(generator, [noisy]):
        assert not torch.equal(noisy(x), first)
    assert noisy.noise is None


def test_initial_weights_are_the_papers() -> None:
    """Means within 1 / sqrt(inputs), and 0.5 / sqrt(inputs) the standard deviations."""
    noisy = layer(16, 50)
    for mean in (noisy.weight, noisy.bias):
        assert mean.abs().max() <= 0.25
        assert mean.std().item() == pytest.approx(0.25 / 3**0.5, rel=0.2)
    assert (noisy.weight_std == 0.125).all()
    assert (noisy.bias_std == 0.125).all()


@pytest.mark.parametrize("distribution", ["none", "categorical"])
def test_all_layers_of_the_heads_are_noisy(distribution: str) -> None:
    """Hidden ones too, in both heads, and none of the encoder."""
    network = dqn(dqn_context(), noisy=True, dueling=True, head_hidden=(8, 8), distribution=distribution).policy.network
    assert len(noisy_layers(network.head)) == len(network.noisy_layers) == 6
    assert not any(isinstance(module, torch.nn.Linear) for module in network.head.modules())
    mlp = NoisyMLP(3, (5, 2), "relu", std=0.5)
    first, second = mlp.layers
    x = torch.randn(4, 3)
    torch.testing.assert_close(mlp(x), torch.relu(second(torch.relu(first(x)))))
    assert mlp.feature_dim == 2


def test_acting_draws_from_the_generator_alone() -> None:
    """Equal generators make equal choices, whatever was drawn before; deterministic actions are those of the means."""
    context = dqn_context(action=Discrete(4, start=2))
    policy = dqn(context, noisy=True, noisy_std=4.0).policy
    rows = {"observation": observations(context.observation_space, 1)["observation"].expand(500, 3)}

    def act(seed: int, deterministic: bool = False) -> torch.Tensor:
        with torch.inference_mode():
            generator = torch.Generator().manual_seed(seed)
            actions: torch.Tensor = policy.act(rows, {}, torch.ones(500), generator, deterministic=deterministic)[0]
        return actions

    assert policy.epsilon == 0.0
    first = act(0)
    state = torch.get_rng_state()
    assert not torch.equal(act(1), first)
    assert torch.equal(act(0), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(first.unique()) > 1, "environments have noise of their own"
    greedy = act(0, deterministic=True)
    assert torch.equal(greedy, act(1, deterministic=True))
    with torch.no_grad():
        assert torch.equal(greedy, policy.network.values(rows).argmax(-1) + 2)


def test_noise_of_learning_is_part_of_the_state() -> None:
    """A restored algorithm goes on with the same noise; without it, updates differ."""
    context = dqn_context()
    first, second, third = (dqn(context, noisy=True) for _ in range(3))
    first.update(collect(first, context))
    state = first.state_dict()
    reseeded = copy.deepcopy(state)
    reseeded["noise"] = torch.Generator().manual_seed(99).get_state()
    second.load_state_dict(state)
    third.load_state_dict(reseeded)
    batch = collect(first, context, seed=1)
    for algorithm in (first, second, third):
        algorithm.update(batch)
    assert same(first.policy.state_dict(), second.policy.state_dict())
    assert not same(first.policy.state_dict(), third.policy.state_dict())
    assert "noise" not in dqn(context).state_dict()


def test_noise_is_learned() -> None:
    """Gradient steps change the standard deviations of the noise."""
    context = dqn_context()
    algorithm = dqn(context, noisy=True)
    before = [layer.weight_std.clone() for layer in algorithm.policy.network.noisy_layers]
    algorithm.update(collect(algorithm, context))
    after = [layer.weight_std for layer in algorithm.policy.network.noisy_layers]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(layer.noise is None for layer in algorithm.policy.network.noisy_layers)


@pytest.mark.parametrize(
    ("options", "epsilons"),
    [
        ({}, (1.0, 0.05)),
        ({"noisy": True}, (0.0, 0.0)),
        ({"noisy": True, "epsilon_start": 0.5}, (0.5, 0.0)),
        ({"noisy": True, "epsilon_end": 0.1}, (0.1, 0.1)),
        ({"epsilon_start": 0.5, "epsilon_end": 0.1}, (0.5, 0.1)),
    ],
)
def test_noise_explores_in_place_of_epsilon(options: dict[str, float], epsilons: tuple[float, float]) -> None:
    """By default; an epsilon that is given counts."""
    assert DQNConfig(**options).epsilons == epsilons
